"""The engine's file beside an extractor's: the same network for OpenVINO, which runs without TensorFlow.

The extractor's file stays the truth. NAME.keras.openvino is made from it, carries its checksum, and is made again when
they do not fit. It may be deleted. Layout: a line with the SHA-256 of all that follows, a line of JSON, the weights
(OpenVINO's `.bin`) and the graph (its `.xml`).
"""

import json
import mmap
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.cli import InputError, warn
from utils.engine import DIGEST, Network, compile_network, import_converter, is_installed
from utils.faces.crops import are_crop_points
from utils.features.keras_extractor import KerasNetwork, model_fingerprint
from utils.files import file_sha256, parse_json, sha256, write_bytes
from utils.keras_models import quiet_stderr
from utils.model_file import short_reason
from utils.storage import local_copy

if TYPE_CHECKING:
    import keras

SUFFIX = ".openvino"
FORMAT = 1  # raised when what is written changes, so that files of earlier versions are made again
ALIGNMENT = 64  # bytes; a processor reads weights faster that begin where its cache lines do
MAX_DIFFERENCE = 1e-4  # of the largest feature, from Keras' features in float32; SFace's and dlib's differ by 1e-6


class EngineFileError(ValueError):
    """An engine's file cannot be used, or not be made. The message says what is done or why."""


@dataclass(frozen=True, eq=False)
class ExtractorInfo:
    """What a program has to know about an extractor to use its network."""

    size: int  # S, the side of its square input in pixels
    dimension: int  # D, the number of features
    fingerprint: str
    crop_points: np.ndarray  # where RetinaFace's five points lie in the crops that it expects, (5, 2), side 1

    def to_json(self) -> dict:
        return {**vars(self), "crop_points": self.crop_points.tolist()}

    def fits(self, network: Network) -> bool:
        """Whether a network has the shapes of this extractor."""
        return (network.inputs, network.outputs) == ([(None, self.size, self.size, 3)], [(None, self.dimension)])

    @classmethod
    def from_json(cls, content: dict) -> "ExtractorInfo":
        """Raises ValueError or KeyError for anything but the result of `to_json`."""
        points = np.array(content["crop_points"], float)
        if not are_crop_points(points):
            raise ValueError("its crop is not one of a face")
        return cls(int(content["size"]), int(content["dimension"]), str(content["fingerprint"]), points)


def extractor_info(model: "keras.Model", crop_points: np.ndarray) -> ExtractorInfo:
    """What to know about an extractor's Keras model."""
    points = np.asarray(crop_points, float)
    return ExtractorInfo(model.inputs[0].shape[1], model.outputs[0].shape[1], model_fingerprint(model, points), points)


def engine_path(model: Path) -> Path:
    """The engine's file of an extractor's file."""
    return model.with_name(model.name + SUFFIX)


def load_engine_file(model: Path, precision: str, callers: int = 1) -> tuple[ExtractorInfo, Network]:
    """The network of the engine's file that belongs to an extractor's file. callers: see `compile_network`.

    Raises EngineFileError, which says that the file is made now and why, if it cannot be used.
    """
    path = engine_path(model)
    try:
        with open(local_copy(path), "rb") as file:
            # Not read into memory: OpenVINO copies the weights into an order of its own.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError:
        raise EngineFileError(f"making {path}, with which later runs need no TensorFlow") from None
    except (OSError, ValueError) as exc:  # ValueError: it is empty
        raise EngineFileError(f"making {path} again, because it cannot be read ({exc})") from None
    try:
        header, graph, weights = _split(data)
    except (InputError, ValueError):
        raise EngineFileError(f"making {path} again, because it is damaged") from None
    if header.get("format") != FORMAT:
        raise EngineFileError(f"making {path} again, because another version of this program made it")
    if header.get("model_stamp") != _stamp(model) and header.get("model_sha256") != file_sha256(model):
        raise EngineFileError(f"making {path} again, because {model.name} has changed")
    try:
        return _compile(header, graph, weights, precision, callers)
    except (InputError, ValueError, KeyError, TypeError):
        raise EngineFileError(f"making {path} again, because its network cannot be used") from None


def _stamp(model: Path) -> list[int]:
    """Size and modification time of a file, with which it needs no checksum: of SFace's that takes 0.04 s."""
    status = model.stat()
    return [status.st_size, status.st_mtime_ns]


def _split(data: mmap.mmap | bytearray) -> tuple[dict, bytes, np.ndarray]:
    """The header, the graph and the weights, uint8 (n,), of an engine's file. Raises ValueError or InputError."""
    with memoryview(data) as view, view[DIGEST + 1 :] as content:
        if sha256(content).encode() != bytes(view[:DIGEST]):
            raise ValueError
    end = data.find(b"\n", DIGEST + 1) + 1
    header = parse_json(bytes(data[DIGEST + 1 : end]), "the header")
    graph_start = end + int(header["weights"])
    return header, bytes(data[graph_start:]), np.frombuffer(data, np.uint8)[end:graph_start]


def _compile(
    header: dict, graph: bytes, weights: np.ndarray, precision: str = "float32", callers: int = 1
) -> tuple[ExtractorInfo, Network]:
    info = ExtractorInfo.from_json(header)
    network = compile_network((graph, weights), precision, callers)
    if not info.fits(network):
        raise ValueError(f"it maps {network.inputs} to {network.outputs}")
    return info, network


def write_engine_file(path: Path, model: "keras.Model", crop_points: np.ndarray) -> None:
    """Make the engine's file of an extractor's file that was just saved, if OpenVINO is installed."""
    if not is_installed():
        return
    try:
        make_engine_file(path, model, crop_points)
    except EngineFileError as exc:
        warn(f"{path} will run on Keras alone: {exc}")


def make_engine_file(
    path: Path, model: "keras.Model", crop_points: np.ndarray, precision: str = "float32", callers: int = 1
) -> tuple[ExtractorInfo, Network]:
    """Make the engine's file of an extractor's file, whose model this is. Returns what `load_engine_file` would.

    A file that cannot be written is a warning. Raises EngineFileError if OpenVINO cannot run the model, or not with
    Keras' results.
    """
    info = extractor_info(model, crop_points)
    keras_network = KerasNetwork(model)
    header = {"format": FORMAT, "model_sha256": file_sha256(path), "model_stamp": _stamp(path), **info.to_json()}
    data = bytearray(_export(keras_network.model, header))
    try:
        exact = _compile(*_split(data))
    except ValueError as exc:
        raise EngineFileError(str(exc)) from None
    _check_parity(exact[1], keras_network, info.size)
    try:
        write_bytes(engine_path(path), bytes(data))
    except OSError as exc:
        warn(f"{engine_path(path)} cannot be written, so every run has to load TensorFlow: {exc.strerror}")
    return exact if (precision, callers) == ("float32", 1) else _compile(*_split(data), precision, callers)


def _export(model: "keras.Model", header: dict) -> bytes:
    """The content of an engine's file. Raises EngineFileError for a model that cannot be exported."""
    import_converter()
    with tempfile.TemporaryDirectory() as folder:
        graph, weights = Path(folder, "network.xml"), Path(folder, "network.bin")
        try:
            with quiet_stderr():
                model.export(str(graph), format="openvino", verbose=False)
        except Exception as exc:  # the converter raises nearly anything for a layer that it does not know
            raise EngineFileError(f"it cannot be exported: {short_reason(exc)}") from None
        text = json.dumps({**header, "weights": weights.stat().st_size})
        padding = " " * (-(DIGEST + len(text) + 2) % ALIGNMENT)
        content = b"".join([f"{text}{padding}\n".encode(), weights.read_bytes(), graph.read_bytes()])
    return sha256(content).encode() + b"\n" + content


def _check_parity(network: Network, keras_network: KerasNetwork, size: int) -> None:
    """Raises EngineFileError if two networks give other features of the same images."""
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    expected = keras_network(images)
    difference = np.abs(network(images)[0] - expected).max() / max(np.abs(expected).max(), 1e-9)
    if not difference <= MAX_DIFFERENCE:
        raise EngineFileError(f"its features differ from Keras' by {difference:.1e} of the largest")
