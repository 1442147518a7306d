"""Exported networks made by hand, without Keras: an extractor and a head as tiny ONNX files with descriptions."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from utils.exported import EXTRACTOR, HEAD, KIND, VERSION, checksum, description_path
from utils.faces.crops import CROP_POINTS

SIZE, DIMENSION = 32, 12
FINGERPRINT = "tiny-12-0123456789abcdef"
RULE = {"threshold": 0.7, "min_votes": None, "extractor": FINGERPRINT, "dimension": DIMENSION}


def write_onnx(path: Path, nodes: list, inputs: dict, outputs: dict, weights: dict | None = None) -> None:
    """Write an ONNX file. inputs, outputs: shapes by name."""
    sides = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "tiny", *sides, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def describe(path: Path, kind: str, **content: object) -> Path:
    """Write the description of an exported network. Returns the network's path."""
    description = {KIND: kind, "version": VERSION, "sha256": checksum(path), **content}
    description_path(path).write_text(json.dumps(description))
    return path


def write_extractor(folder: Path, **changes: object) -> Path:
    """An extractor whose features are the mean colors of four quarters."""
    half, path = SIZE // 2, folder / "extractor.onnx"
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["means"], kernel_shape=[half, half], strides=[half, half]),
        helper.make_node("Flatten", ["means"], ["features"]),
    ]
    write_onnx(path, nodes, {"image": ["n", SIZE, SIZE, 3]}, {"features": ["n", DIMENSION]})
    content = {"size": SIZE, "dimension": DIMENSION, "fingerprint": FINGERPRINT}
    return describe(path, EXTRACTOR, **content | {"crop_points": CROP_POINTS["arcface"].tolist()} | changes)


def write_head(folder: Path, **changes: object) -> Path:
    """A head with logit = 5 − the sum of absolute differences."""
    path = folder / "head.onnx"
    nodes = [
        helper.make_node("Sub", ["a", "b"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["absolute"]),
        helper.make_node("MatMul", ["absolute", "ones"], ["distance"]),
        helper.make_node("Sub", ["offset", "distance"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    shape, weights = ["n", DIMENSION], {"offset": np.float32([5]), "ones": np.ones((DIMENSION, 1), np.float32)}
    write_onnx(path, nodes, {"a": shape, "b": shape}, {"probability": ["n", 1]}, weights)
    return describe(path, HEAD, **{HEAD: RULE} | changes)
