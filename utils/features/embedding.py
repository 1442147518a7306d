"""From image files of faces to features: threads read, decode and cut them, and the network gets full batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from utils.faces.alignment import align_crop
from utils.faces.crops import fits_narrow, is_narrow
from utils.faces.dlib_hog import load_landmarks
from utils.features.extractor import Extractor, load_extractor
from utils.keras_models import padded_batch_size
from utils.media.images import decode_image
from utils.media.pipes import read_file
from utils.storage import READERS, is_remote
from utils.threads import core_count, map_ahead

MAX_ASPECT_RATIO = 1.1  # long side / short side; a face crop is square, so more means a whole photo


@dataclass
class EmbeddedImage:
    """What came of one image file."""

    features: np.ndarray | None = None  # float32 (D,); None if the image cannot be loaded
    error: Exception | None = None  # why it cannot be loaded
    is_square: bool = True
    is_narrow: bool = False  # whether it is a chip that does not show all of the extractor's crop


class Embedder:
    """Turns image files into features. What an image gets depends neither on its batch nor on the threads.

    Args:
        extractor: Computes the features.
        align: 1 to align the images before, else 0.
        total: Images that there will be. All batches have the same size, so the network is compiled once.
    """

    def __init__(self, extractor: Extractor, align: int, total: int):
        self.extractor, self.align = extractor, align
        self.size = min(extractor.batch_size, padded_batch_size(max(total, 1)))
        self._fits = fits_narrow(extractor.crop_points)
        if align:
            load_landmarks()  # once, so that a broken installation is one error and not one per image

    def embed(self, paths: Sequence[Path], jobs: int | None = None) -> Iterator[EmbeddedImage]:
        """Yield what comes of each image, in order. Memory holds two batches of inputs.

        jobs: threads that load images, None for one per processor core, or more for storage far away.
        """
        if jobs is None and paths and is_remote(paths[0]):
            jobs = max(READERS, core_count())
        images: list[EmbeddedImage] = []
        inputs: list[np.ndarray] = []
        for image, network_input in map_ahead(self._load, paths, jobs, self.size):
            images.append(image)
            if network_input is not None:
                inputs.append(network_input)
            if len(inputs) == self.size:
                yield from self._embed_batch(images, inputs)
                images, inputs = [], []
        yield from self._embed_batch(images, inputs)

    def _load(self, path: Path) -> tuple[EmbeddedImage, np.ndarray | None]:
        """An image and the extractor's input, RGB uint8 (S, S, 3)."""
        result = EmbeddedImage()
        try:
            image = decode_image(read_file(path))
            if self.align:
                image = align_crop(image)
            else:
                result.is_square = max(image.shape[:2]) <= MAX_ASPECT_RATIO * min(image.shape[:2])
                result.is_narrow = not self._fits and is_narrow(image)
            return result, self.extractor.cut(image)
        except (ValueError, OSError, MemoryError, cv2.error) as exc:
            result.error = exc
            return result, None

    def _embed_batch(self, images: list[EmbeddedImage], inputs: list[np.ndarray]) -> Iterator[EmbeddedImage]:
        rows = iter(self.extractor.embed_inputs(inputs, padded=self.size) if inputs else ())
        for image in images:
            if image.error is None:
                image.features = next(rows)
            yield image


def load_embedding(
    path: Path, precision: str, batch_size: int, engine: str, align: int
) -> Callable[[Sequence[Path]], Iterator[EmbeddedImage]]:
    """The function of a cluster's worker: it has an extractor of its own. batch_size: images that it gets at once."""
    return Embedder(load_extractor(path, precision, batch_size, engine, core_count()), align, batch_size).embed
