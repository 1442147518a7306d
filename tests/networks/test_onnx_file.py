"""ONNX files that are damaged in any way raise ValueError, whatever the damage is."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_networks import GraphWriter, write_mobilefacenet, write_quantized

from utils.networks.onnx_file import FOLDABLE, node_attributes, parse_onnx


def fold_all(data: bytes) -> int:
    """Compute all constants of a file, as far as they depend on no image. Returns their number."""
    file = parse_onnx(data)
    values, count = {"": None, **file.constants}, 0
    for node in file.nodes:
        node_attributes(node)
        if node.op_type in FOLDABLE and all(name in values for name in node.input):
            results = file.fold(node, [values[name] for name in node.input])
            values.update(zip(node.output, results, strict=False))
            count += len(results)
    return count


@pytest.fixture(scope="module", params=[write_quantized, write_mobilefacenet], ids=["quantized", "mobilefacenet"])
def data(request, tmp_path_factory) -> bytes:
    return request.param(tmp_path_factory.mktemp("onnx") / "net.onnx").read_bytes()


def test_a_whole_file_is_read(data):
    fold_all(data)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_raise_nothing_but_value_errors(data, draw):
    damaged = bytearray(data[: draw.draw(st.sampled_from([len(data), len(data) - 1, 100, 500]))])
    structure = len(data) // 20  # the nodes, which come before the weights
    for _ in range(draw.draw(st.integers(0, 5))):
        place = draw.draw(st.integers(0, draw.draw(st.sampled_from([structure, len(damaged) - 1]))))
        damaged[place % len(damaged)] = draw.draw(st.integers(0, 255))
    try:
        fold_all(bytes(damaged))
    except ValueError as exc:
        assert 0 < len(str(exc)) < 600 and "\n" not in str(exc)


@pytest.mark.parametrize(
    ("kind", "operands"),
    [
        ("ConstantOfShape", [np.array([1 << 40])]),
        ("ConstantOfShape", [np.array([1 << 20, 1 << 20, 1 << 20, 1 << 20])]),
        ("Range", [np.array(0), np.array(1 << 40), np.array(1)]),
        ("Expand", [np.zeros(1, np.float32), np.array([1 << 36])]),
        ("Tile", [np.zeros(10, np.float32), np.array([1 << 33])]),
        ("Add", [np.zeros((1 << 16, 1), np.float32), np.zeros((1, 1 << 16), np.float32)]),
        ("Pad", [np.zeros(1, np.float32), np.array([0, 1 << 36])]),
        ("Reshape", [np.zeros(4, np.float32), np.array([3, -1])]),
    ],
)
def test_constants_take_no_more_memory_than_a_file_justifies(tmp_path, kind, operands):
    g = GraphWriter(13)
    g.finish(tmp_path / "net.onnx", g.op("GlobalAveragePool", "image"), [1, 3, 8, 8], 3)
    node = helper.make_node(kind, [f"x{index}" for index in range(len(operands))], ["y"])
    with pytest.raises(ValueError, match="it cannot be computed: "):
        parse_onnx((tmp_path / "net.onnx").read_bytes()).fold(node, operands)
