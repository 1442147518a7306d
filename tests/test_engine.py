"""Networks on OpenVINO: results, number types, threads, and the choice of the engine."""

import os
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support import run_script

from utils import engine as engine_module
from utils.cli import InputError
from utils.engine import cache_folder, choose_engine, compile_network, compile_once, has_gpu

WEIGHTS = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)


@pytest.fixture
def product_path(tmp_path) -> Path:
    """An ONNX file of two outputs for each row (64,): its product with WEIGHTS, and its sum."""
    nodes = [
        helper.make_node("MatMul", ["rows", "weights"], ["products"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["sums"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["n", 64])],
        [
            helper.make_tensor_value_info("products", onnx.TensorProto.FLOAT, ["n", 8]),
            helper.make_tensor_value_info("sums", onnx.TensorProto.FLOAT, ["n", 1]),
        ],
        [numpy_helper.from_array(WEIGHTS, "weights"), numpy_helper.from_array(np.array([1]), "axes")],
    )
    path = tmp_path / "product.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_outputs_are_those_of_the_file_for_any_batch(product_path):
    network = compile_network(product_path)
    assert network.inputs == [(None, 64)] and network.outputs == [(None, 8), (None, 1)]
    first = network(np.ones((1, 64), np.float32))
    rows = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    products, sums = network(rows)
    np.testing.assert_allclose(products, rows @ WEIGHTS, atol=1e-5)
    np.testing.assert_allclose(sums, rows.sum(1, keepdims=True), atol=1e-5)
    # The results of an earlier call stay as they were.
    np.testing.assert_allclose(first[0], WEIGHTS.sum(0)[None], atol=1e-5)
    pixels = np.full((2, 64), 200, np.uint8)
    np.testing.assert_allclose(network(pixels)[1], [[12800], [12800]])


def test_float32_is_exact_also_where_bfloat16_is_faster(product_path):
    rows = np.random.default_rng(1).normal(size=(100, 64)).astype(np.float32)
    exact = rows @ WEIGHTS
    error, half_error = (
        np.abs(compile_network(product_path, precision)(rows)[0] - exact).max() for precision in ("float32", "bfloat16")
    )
    assert error < 1e-4 and half_error < 0.5


def test_several_threads_may_call_a_network(product_path):
    network = compile_network(product_path, callers=2)
    rows = np.random.default_rng(1).normal(size=(4, 50, 64)).astype(np.float32)
    results: dict[int, list[np.ndarray]] = {}

    def call(number: int) -> None:
        results[number] = [network(rows[number])[0] for _ in range(20)]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_allclose(results[number], [rows[number] @ WEIGHTS] * 20, atol=1e-5)


def test_a_shared_network_is_compiled_once(product_path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    first = compile_once("a", product_path.read_bytes)
    np.testing.assert_allclose(first(rows)[0], rows @ WEIGHTS, atol=1e-5)
    again = compile_once("a", lambda: pytest.fail("it is compiled again"))
    assert (again.inputs, again.outputs) == (first.inputs, first.outputs)
    np.testing.assert_array_equal(again(rows)[0], first(rows)[0])
    (kept,) = cache_folder().iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    damaged = bytearray(kept.read_bytes())
    damaged[-1] ^= 1
    kept.write_bytes(damaged)
    np.testing.assert_array_equal(compile_once("a", product_path.read_bytes)(rows)[0], first(rows)[0])
    assert kept.read_bytes() != damaged


def test_only_the_newest_shared_networks_are_kept(product_path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(engine_module, "MAX_KEPT", 2)
    kept = []
    for number, name in enumerate("abc"):
        compile_once(name, product_path.read_bytes)
        (new,) = set(cache_folder().iterdir()) - set(kept)
        os.utime(new, (number, number))
        kept = [*kept[-1:], new]
        assert set(cache_folder().iterdir()) == set(kept)


def test_a_shared_network_needs_no_cache(product_path, tmp_path, monkeypatch):
    rows = np.ones((1, 64), np.float32)
    monkeypatch.setenv("XDG_CACHE_HOME", str(product_path))  # a file is in the way
    np.testing.assert_allclose(compile_once("a", product_path.read_bytes)(rows)[1], [[64]])
    monkeypatch.setattr(engine_module, "cache_folder", lambda: (_ for _ in ()).throw(RuntimeError))
    np.testing.assert_allclose(compile_once("a", product_path.read_bytes)(rows)[1], [[64]])


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x0a" * 500])
def test_a_damaged_network_is_refused(tmp_path, content):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.onnx is not a network"):
        compile_network(path)
    with pytest.raises(InputError, match="is not a network"):
        compile_network((content, np.zeros(1, np.uint8)))


@pytest.mark.parametrize(
    ("engine", "backend", "gpus", "chosen"),
    [
        ("auto", None, 0, "openvino"),
        ("auto", None, 1, "keras"),
        ("auto", "jax", 0, "keras"),
        ("openvino", "jax", 1, "openvino"),
        ("keras", None, 0, "keras"),
    ],
)
def test_a_graphics_card_or_a_chosen_backend_means_keras(monkeypatch, tmp_path, engine, backend, gpus, chosen):
    for number in range(gpus):
        (tmp_path / f"nvidia{number}").touch()
    monkeypatch.setattr(engine_module, "_has_cudnn", lambda: True)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if backend:
        monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert choose_engine(engine, tmp_path) == chosen


@pytest.mark.parametrize(
    ("visible", "library", "counts"), [("0", True, True), ("-1", True, False), ("0", False, False)]
)
def test_a_graphics_card_that_keras_cannot_use_does_not_count(monkeypatch, tmp_path, visible, library, counts):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(engine_module, "_has_cudnn", lambda: library)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert has_gpu(tmp_path) == counts


def test_openvino_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert choose_engine("auto") == "keras"
    with pytest.raises(InputError, match="pip install"):
        choose_engine("openvino")


def test_several_threads_may_load_openvino_at_once():
    program = (
        "from concurrent.futures import ThreadPoolExecutor as Pool; from utils.engine import import_openvino; "
        "print(len(set(Pool(4).map(lambda _: import_openvino().Core is not None, range(4)))), "
        "hasattr(import_openvino(), 'convert_model'))"
    )
    assert run_script("-c", program).stdout.split() == ["1", "False"]
