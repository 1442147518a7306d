"""ONNX networks."""

import contextlib
import random
import sys
from pathlib import Path

import numpy as np

from fuzzing import mutations
from fuzzing.models import load_keras
from fuzzing.target import check


def onnx_seeds(folder: Path) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    import onnx_networks

    for name in ("ir_resnet", "mobilefacenet", "ghostnet", "edgeface", "quantized", "half"):
        getattr(onnx_networks, f"write_{name}")(folder / f"{name}.onnx")


def mutate_onnx(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter nodes, attributes, shapes and constants of a network, or bytes of the file."""
    import onnx

    if rng.random() < 0.3:
        return mutations.mutate_bytes(data, others, rng, within=rng.choice((None, 4096)))
    model = onnx.ModelProto.FromString(data)
    nodes, tensors = model.graph.node, model.graph.initializer
    for _ in range(rng.randint(1, 3)):
        if not nodes or not tensors:
            break
        node, tensor, kind = rng.choice(nodes), rng.choice(tensors), rng.randrange(9)
        number = rng.choice([*mutations.INTERESTING[20:-20], *range(-3, 4)])
        if kind == 0:
            nodes.remove(node)
        elif kind == 1:
            nodes.add().CopyFrom(node)
        elif kind == 2:
            node.op_type = rng.choice([*{other.op_type for other in nodes}, "Loop", "Range", "Expand", "Tile", "If"])
        elif kind == 3 and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(["", tensor.name, *rng.choice(nodes).output])
        elif kind == 4 and node.attribute:
            _mutate_attribute(rng.choice(node.attribute), number, rng)
        elif kind == 5 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = number
        elif kind == 6:
            tensor.raw_data = mutations.mutate_bytes(tensor.raw_data[:4096], others, rng)
        elif kind == 7:
            tensor.data_type = rng.randint(0, 30)
        else:
            dims = model.graph.input[0].type.tensor_type.shape.dim
            dims[rng.randrange(len(dims))].dim_value = rng.choice((number, 1, 3, 16, 1 << 14))
    return model.SerializeToString()


def _mutate_attribute(attribute: object, number: int, rng: random.Random) -> None:
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = number
    elif rng.random() < 0.5:
        attribute.i = number
    else:
        attribute.f = rng.choice((float("nan"), float("inf"), 1e38, 0.0, -1.0))
    if rng.random() < 0.2:
        attribute.type = rng.randint(0, 14)


def read_onnx_file(data: bytes, folder: Path) -> None:
    """Parse a network and compute what depends on constants alone."""
    from utils.networks.onnx_file import FOLDABLE, node_attributes, parse_onnx

    file = parse_onnx(data)
    values = dict(file.constants) | {"": None}
    for node in file.nodes:
        with contextlib.suppress(ValueError):
            node_attributes(node)
            if node.op_type in FOLDABLE and all(name in values for name in node.input):
                results = file.fold(node, [values[name] for name in node.input])
                check(all(isinstance(result, np.ndarray) for result in results), "odd results")
                values.update(zip(node.output, results, strict=False))


def build_onnx(data: bytes, folder: Path) -> None:
    """Rebuild a network and compare it with ONNX Runtime, as network.py does."""
    import keras

    from utils.networks.onnx_extractor import build_from_onnx
    from utils.networks.onnx_network import NO_OPTIONS

    keras.backend.clear_session()
    path = folder / "network.onnx"
    path.write_bytes(data)
    model = build_from_onnx(path, NO_OPTIONS, "pretrained", ("rgb_0_255", "preprocessing"), lambda line: None)
    check(len(model.output_shape) == 2 and model.output_shape[1] > 1, f"{model.output_shape}")


def load_onnx() -> None:
    import onnx.reference
    import onnx.shape_inference  # noqa: F401

    from utils.networks import onnx_file  # noqa: F401


def load_onnx_and_keras() -> None:
    load_onnx()
    load_keras()
    from utils.engine import import_openvino

    import_openvino()
    from utils.networks import onnx_extractor  # noqa: F401
