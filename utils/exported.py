"""Exported networks: a file for other programs and devices, and a description in a JSON file beside it.

`extractor.onnx` is described by `extractor.onnx.json`; docs/deployment.md documents its keys.
"""

from pathlib import Path

import numpy as np

from utils.cli import InputError, shown
from utils.engine import Network, compile_network
from utils.files import read_json, sha256
from utils.storage import as_path, is_remote

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}  # by format
KIND, EXTRACTOR, HEAD = "siamese_faces", "extractor", "head"  # the key of what a file is, and its values
VERSION = 1  # of the description; a later one may mean other things
MAX_DESCRIPTION = 1 << 22  # bytes; a head's has a few thousand


def is_exported(path: str | Path) -> bool:
    """Whether a path is that of an exported network, by its extension."""
    return as_path(path).suffix.lower() in SUFFIXES.values()


def description_path(path: Path) -> Path:
    """The JSON file that describes an exported network."""
    return path.with_name(path.name + ".json")


def network_files(path: Path) -> list[Path]:
    """The files of an exported network: OpenVINO's weights are in a second one."""
    return [path, path.with_suffix(".bin")] if path.suffix.lower() == SUFFIXES["openvino"] else [path]


def checksum(path: Path) -> str:
    """The SHA-256 of an exported network, over all its files."""
    return sha256(b"".join(file.read_bytes() for file in network_files(path)))


def load_exported(path: Path, kind: str, precision: str = "float32", callers: int = 1) -> tuple[Network, dict]:
    """An exported network and its description. Raises InputError.

    kind: EXTRACTOR or HEAD. precision, callers: see `compile_network`.
    """
    if path.suffix.lower() == SUFFIXES["litert"]:
        raise InputError(f"{path} is for phones: export for these scripts with export.py --format onnx or openvino")
    for file in network_files(path):
        if not file.is_file():
            raise InputError(f"there is no file {file}")
    description = read_description(path, kind)
    if description.get("sha256") != checksum(path):
        raise InputError(f"{description_path(path)} describes another file than {path.name}: export it again")
    try:
        # An ONNX file's content alone cannot point to other files.
        model = path.read_bytes() if path.suffix.lower() == SUFFIXES["onnx"] else path
        if is_remote(path) and model is path:
            graph, weights = (file.read_bytes() for file in network_files(path))
            model = graph, np.frombuffer(bytearray(weights), np.uint8)
        return compile_network(model, precision, callers), description
    except InputError as exc:
        raise InputError(f"{path}: {exc}") from None


def read_description(path: Path, kind: str) -> dict:
    """The description beside an exported network of this kind. Raises InputError."""
    beside = description_path(path)
    if not beside.is_file():
        ways = f"copy its {beside.name}, too, if export.py wrote it"
        if path.suffix.lower() == SUFFIXES["onnx"] and kind == EXTRACTOR:
            ways += f"; make an extractor of any other face network with network.py --backbone {path}"
        raise InputError(f"{path} has no description, without which its crop and its threshold are unknown: {ways}")
    if beside.stat().st_size > MAX_DESCRIPTION:
        raise InputError(f"{beside} is no description: it has more than {MAX_DESCRIPTION:,} bytes")
    description = read_json(beside)
    if description.get(KIND) != kind:
        raise InputError(f"{beside} must describe the file of the {kind}. Received: {shown(description.get(KIND))}")
    if description.get("version") != VERSION:
        raise InputError(f"{beside} is of another version than {VERSION}: export again with this version's export.py")
    return description
