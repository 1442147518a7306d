"""Write Keras models as ONNX, OpenVINO and LiteRT files, with weights of 32, 16 or 8 bits.

With float16 the weights have 16 bits and the device computes with what it has. With int8 the convolutions and matrix
products compute in 8 bits, with ranges measured on faces. Inputs and outputs are float32 with either.
"""

import contextlib
import importlib.util
import io
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.cli import InputError
from utils.engine import import_converter, import_openvino
from utils.keras_models import quiet_stderr

if TYPE_CHECKING:
    import keras
    import onnx

PRECISIONS = ("float32", "float16", "int8")
# What writes a format, or checks it. NNCF quantizes two formats in one way.
PACKAGES = {"onnx": ("tf2onnx", "onnxruntime"), "openvino": ("openvino",), "litert": ("ai_edge_litert",)}
QUANTIZER = {"onnx": ("nncf",), "openvino": ("nncf",), "litert": ()}
MIN_HALVED = 1024  # numbers; smaller arrays, such as the preprocessing, save nothing and keep their digits


def check_packages(network_format: str, precision: str) -> None:
    """Check that the packages for a format are installed. Raises InputError that names the command if not."""
    needed = PACKAGES[network_format] + (QUANTIZER[network_format] if precision == "int8" else ())
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(
            f"--format {network_format} --precision {precision} needs {' and '.join(missing)}: "
            "`pip install -r requirements-export.txt` installs it"
        )


def write_network(model: "keras.Model", path: Path, network_format: str, precision: str, faces: np.ndarray) -> None:
    """Write a Keras model in a format of utils.exported.SUFFIXES.

    faces: inputs to quantize on, float32 (n, S, S, 3); only int8 uses them.
    """
    with quiet_stderr(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        {"onnx": _write_onnx, "openvino": _write_openvino, "litert": _write_litert}[network_format](
            model, path, precision, faces
        )


def _write_onnx(model: "keras.Model", path: Path, precision: str, faces: np.ndarray) -> None:
    import onnx

    model.export(str(path), format="onnx", verbose=False)
    if precision == "float32":
        return
    network = onnx.load(path)
    if precision == "float16":
        _halve_weights(network)
    else:
        network = _quantize(network, [{network.graph.input[0].name: face[None]} for face in faces])
    onnx.save(network, path)


def _halve_weights(network: "onnx.ModelProto") -> None:
    """Store the weights in 16 bits, each with a conversion back, which runtimes compute once, when they load it."""
    from onnx import TensorProto, helper, numpy_helper

    conversions = []
    for tensor in network.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size >= MIN_HALVED:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}_float16"))
            conversions.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*conversions, *network.graph.node]
    del network.graph.node[:]
    network.graph.node.extend(nodes)


def _write_openvino(model: "keras.Model", path: Path, precision: str, faces: np.ndarray) -> None:
    import_converter()
    model.export(str(path), format="openvino", verbose=False)
    openvino = import_openvino()
    # A copy, since the file that is replaced would stay in use.
    network = openvino.Core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
    for check in network.get_results()[1:]:  # of a dot product's shapes
        network.remove_result(check)
    if precision == "int8":
        network = _quantize(network, [face[None] for face in faces])
    openvino.save_model(network, path, compress_to_fp16=precision == "float16")


def _quantize(network: Any, samples: list) -> Any:
    """The network with 8-bit weights and activations, whose ranges are measured on samples."""
    import_converter()
    import nncf

    nncf.set_log_level(logging.ERROR)
    # Activations that take both signs get two-sided ranges, which networks without ReLU need.
    return nncf.quantize(network, nncf.Dataset(samples), preset=nncf.QuantizationPreset.MIXED, subset_size=len(samples))


def _write_litert(model: "keras.Model", path: Path, precision: str, faces: np.ndarray) -> None:
    import tensorflow as tf

    options: dict[str, object] = {}
    if precision != "float32":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        options["target_spec"] = {"supported_types": [tf.float16]}
    if precision == "int8":
        options["representative_dataset"] = lambda: ([face[None]] for face in faces)
    model.export(str(path), format="litert", verbose=False, **options)
