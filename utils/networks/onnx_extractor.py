"""Extractors from ONNX files: SFace's, and any that the user has."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import InputError
from utils.networks.onnx_file import read_onnx
from utils.networks.onnx_network import OnnxNetwork, build_onnx_network
from utils.networks.onnx_parity import measure_parity
from utils.networks.onnx_preprocessing import NO_OPTIONS, OnnxOptions
from utils.networks.sface_network import find_sface_weights, is_sface

if TYPE_CHECKING:
    import keras

MAX_DIFFERENCE = 1e-3  # of the largest feature, between the rebuilt network and the file's own results
MAX_HALF_DIFFERENCE = 2e-2  # the same for files that compute with 16 bits, 11 of which are a number's digits


def build_sface(weights: str, names: tuple[str, str], report: Callable[[str], None]) -> "keras.Model":
    """SFace: RGB 0-255 (N, 112, 112, 3) → float32 (N, 128), not yet of length 1.

    Args:
        weights: "pretrained", "none" (random) or the path of OpenCV's float32 file.
        names: Of the input and of the preprocessing.
        report: Takes a line about the parity.

    Raises InputError.
    """
    path = find_sface_weights() if weights in ("pretrained", "none") else Path(weights)
    network = _read_network(path, names, NO_OPTIONS)
    if not is_sface(network.model):
        raise InputError(f"{path} is not SFace: give it with --backbone instead of --weights")
    return _finished(network, path, "sface", weights, report)


def build_from_onnx(
    path: Path, options: OnnxOptions, weights: str, names: tuple[str, str], report: Callable[[str], None]
) -> "keras.Model":
    """The network of an ONNX file: RGB 0-255 (N, S, S, 3) → float32 (N, D), not yet of length 1.

    weights: "pretrained" (the file's) or "none" (random). For the others see `build_sface`. Raises InputError.
    """
    if weights not in ("pretrained", "none"):
        raise InputError(f"--weights {weights} does not go with --backbone {path}, which has its own weights")
    network = _read_network(path, names, options)
    report(f"{path.name} gets {network.preprocessing} (--channels, --mean and --scale change that)")
    name = re.sub(r"[^A-Za-z0-9_]+", "_", path.stem).strip("_") or "onnx"
    return _finished(network, path, name, weights, report)


def _read_network(path: Path, names: tuple[str, str], options: OnnxOptions) -> OnnxNetwork:
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    try:
        return build_onnx_network(read_onnx(path), *names, options)
    except ValueError as exc:
        raise InputError(f"{path} {exc}") from None


def _finished(
    network: OnnxNetwork, path: Path, name: str, weights: str, report: Callable[[str], None]
) -> "keras.Model":
    """The network under its own name, after a comparison with OpenVINO."""
    from keras import Model, models

    model = Model(network.model.input, network.model.output, name=name)
    if weights == "none":
        return models.clone_model(model)
    try:
        difference = measure_parity(network)
    except ValueError as exc:
        raise InputError(f"{path} {exc}") from None
    limit = MAX_HALF_DIFFERENCE if network.is_half else MAX_DIFFERENCE
    if not difference <= limit:
        raise InputError(
            f"{path} was rebuilt wrongly: its features differ from OpenVINO's by {difference:.1e} of the largest, "
            f"more than {limit:g}. Please report this network"
        )
    report(f"{path.name} and its rebuilt network agree: OpenVINO's features differ by {difference:.0e} at most")
    return model
