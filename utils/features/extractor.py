"""The feature extractor: load it, and turn images into a feature matrix, on OpenVINO or on Keras."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.cli import InputError, warn
from utils.engine import Network, choose_engine
from utils.exported import EXTRACTOR, description_path, is_exported, load_exported
from utils.faces.crops import CROP_POINTS, cut_crop
from utils.features.engine_file import (
    EngineFileError,
    ExtractorInfo,
    extractor_info,
    load_engine_file,
    make_engine_file,
)
from utils.features.inference import bfloat16_slow_reason, on_accelerator
from utils.features.keras_extractor import KerasNetwork, load_extractor_model
from utils.keras_models import find_model, padded_batch_size
from utils.storage import as_path

if TYPE_CHECKING:
    import keras

# Images per call. Larger batches are no faster on a CPU (benchmarks/extraction.py). Inputs above LARGE_INPUT
# need only half as many, and more would only take memory. A GPU has more cores to fill.
CPU_BATCH_SIZE, GPU_BATCH_SIZE = 64, 256
LARGE_INPUT = 160  # pixels, side of the input
MIN_PIECE, PIECES = 4, 4  # images that a thread computes at once, at least; pieces of a full batch for each thread


class Extractor:
    """A feature extractor that is ready to run.

    Args:
        info: What it takes and gives.
        compute: The features (n, D) of n inputs, uint8 (n, S, S, 3). Raises MemoryError.
        engine: What `compute` runs on, "openvino" or "keras".
        batch_size: Maximum images per call, None for a good size.
    """

    def __init__(
        self,
        info: ExtractorInfo,
        compute: Callable[[np.ndarray], np.ndarray],
        engine: str,
        batch_size: int | None = None,
    ):
        self.size, self.dimension = info.size, info.dimension
        self.crop_points, self.fingerprint = info.crop_points, info.fingerprint
        self.engine = engine
        self.batch_size = batch_size or inference_batch_size(self.size, engine)
        self._compute = compute

    def cut(self, chip: np.ndarray) -> np.ndarray:
        """Cut this extractor's input (S, S, 3) out of a chip, or resize any other picture, RGB uint8."""
        return cut_crop(chip, self.crop_points, self.size)

    def embed(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """Compute the features, float32 (n, D), of n chips, RGB uint8."""
        return self.embed_inputs([self.cut(chip) for chip in chips])

    def embed_inputs(self, inputs: Sequence[np.ndarray], padded: int | None = None) -> np.ndarray:
        """Compute the features, float32 (n, D), of n inputs (S, S, 3), as `cut` returns them.

        Keras compiles the network for each batch size it has not seen, so there batches are padded: to the next
        power of two, or to `padded` images if more calls follow.
        """
        features = np.empty((len(inputs), self.dimension), np.float32)
        for start in range(0, len(inputs), self.batch_size):
            part = inputs[start : start + self.batch_size]
            size = len(part)
            if self.engine == "keras":
                size = max(padded or 0, min(self.batch_size, padded_batch_size(size)))
            batch = np.zeros((size, self.size, self.size, 3), np.uint8)
            for row, image in enumerate(part):
                batch[row] = image
            try:
                features[start : start + len(part)] = self._compute(batch)[: len(part)]
            except MemoryError:
                raise InputError(
                    f"not enough memory for batches of {size} images: make them smaller with --batch_size"
                ) from None
        return features


def inference_batch_size(input_size: int, engine: str) -> int:
    """The best number of images per call on this machine, for inputs of this side in pixels."""
    if engine == "keras" and on_accelerator():
        return GPU_BATCH_SIZE
    return CPU_BATCH_SIZE if input_size <= LARGE_INPUT else CPU_BATCH_SIZE // 2


def openvino_extractor(
    info: ExtractorInfo, network: Network, batch_size: int | None = None, parts: int = 1
) -> Extractor:
    """An extractor that runs on OpenVINO. parts: of a batch, computed at once in as many threads."""
    if parts == 1:
        return Extractor(info, lambda batch: network(batch)[0], "openvino", batch_size)
    pool = ThreadPoolExecutor(parts, "extractor")

    def compute(batch: np.ndarray) -> np.ndarray:
        # Smaller parts than there are threads for, so that a core that others keep busy holds nobody up.
        pieces = np.array_split(batch, max(1, min(len(batch) // MIN_PIECE, parts * PIECES)))
        return np.concatenate([*pool.map(lambda piece: network(piece)[0], pieces)])

    return Extractor(info, compute, "openvino", batch_size)


def keras_extractor(
    model: "keras.Model",
    crop_points: np.ndarray = CROP_POINTS["dlib"],
    precision: str = "float32",
    batch_size: int | None = None,
) -> Extractor:
    """An extractor that runs on Keras, from a model that maps RGB 0-255 (N, S, S, 3) to (N, D)."""
    return Extractor(extractor_info(model, crop_points), KerasNetwork(model, precision), "keras", batch_size)


@interrupts.deferred()
def load_extractor(
    path: str | Path, precision: str = "float32", batch_size: int | None = None, engine: str = "auto", parts: int = 1
) -> Extractor:
    """Load an extractor file, or what OpenVINO needs of it from the file beside it, which is made if it has to be.

    Args:
        precision: "float32" or "bfloat16", to compute in.
        batch_size: Maximum images per call, None for a good size.
        engine: See `utils.engine.choose_engine`.
        parts: Of a batch that OpenVINO computes at once, each on its share of the cores. One takes the least time for
            few images; one for each core does the most in all, because no core waits for another after every layer.
            The features are the same.

    Raises InputError for a model that does not map square images (N, S, S, 3) to (N, D).
    """
    if is_exported(path):
        extractor = _load_exported(as_path(path), precision, batch_size, engine, parts)
    else:
        extractor = _load(find_model(path), precision, batch_size, engine, parts)
    if precision == "bfloat16" and (reason := bfloat16_slow_reason(extractor.engine)):
        warn(f"{reason}: --precision bfloat16 may be slower than float32 here, and is never more exact")
    return extractor


def _load(path: Path, precision: str, batch_size: int | None, engine: str, parts: int) -> Extractor:
    chosen, reason = choose_engine(engine), ""
    if chosen == "openvino":
        try:
            return openvino_extractor(*load_engine_file(path, precision, parts), batch_size, parts)
        except EngineFileError as exc:
            reason = str(exc)
    model, crop_points = load_extractor_model(path)
    if chosen == "openvino":
        print(f"note: {reason}", file=sys.stderr)
        try:
            made = make_engine_file(path, model, crop_points, precision, parts)
            return openvino_extractor(*made, batch_size, parts)
        except EngineFileError as exc:
            if engine == "openvino":
                raise InputError(f"{path} cannot run on OpenVINO: {exc}") from None
            warn(f"{path} runs on Keras, because it cannot run on OpenVINO (--engine keras skips the attempt): {exc}")
    return keras_extractor(model, crop_points, precision, batch_size)


def _load_exported(path: Path, precision: str, batch_size: int | None, engine: str, parts: int) -> Extractor:
    if engine == "keras":
        raise InputError(f"{path} is an exported network, which Keras cannot run: leave out --engine keras")
    network, description = load_exported(path, EXTRACTOR, precision, parts)
    try:
        info = ExtractorInfo.from_json(description)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(f"{description_path(path)} is damaged: export the extractor again") from None
    if not info.fits(network):
        raise InputError(f"{path} has not the shapes that its description says: export the extractor again")
    return openvino_extractor(info, network, batch_size, parts)
