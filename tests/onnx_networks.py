"""ONNX files of the kinds of face networks that are in use, with random weights: small ones that tests write."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE = 32  # pixels


class GraphWriter:
    """Collects nodes; every method returns the name of its result."""

    def __init__(self, opset: int, seed: int = 0):
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, outputs: int = 1, name: str = "", **attributes) -> str | list[str]:
        results = [f"t{len(self.nodes)}_{k}" for k in range(outputs)]
        name = name or f"/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, results, name, **attributes))
        return results if outputs > 1 else results[0]

    def constant(self, values) -> str:
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.weights.append(numpy_helper.from_array(array, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def random(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        return self.constant(self.rng.uniform(low, high, shape).astype(np.float32))

    def conv(self, x: str, channels: int, filters: int, size: int = 3, group: int = 1, bias: bool = False, **options):
        scale = 2 / np.sqrt(size * size * channels / group)
        kernel = self.random(filters, channels // group, size, size, low=-scale, high=scale)
        inputs = [x, kernel, self.random(filters)] if bias else [x, kernel]
        if "auto_pad" not in options:
            options = {"pads": [size // 2] * 4} | options
        return self.op("Conv", *inputs, group=group, kernel_shape=[size, size], **options)

    def batch_norm(self, x: str, channels: int) -> str:
        values = [self.random(channels, low=0.5, high=1.5) for _ in range(4)]
        return self.op("BatchNormalization", x, *values, epsilon=2e-5)

    def prelu(self, x: str, channels: int) -> str:
        return self.op("PRelu", x, self.random(channels, 1, 1, low=0.0, high=0.5))

    def finish(self, path: Path, output: str, shape: list, features: int, listed: bool = False) -> Path:
        """Write the file. listed: whether the graph's inputs list the weights, too, as old exporters do."""
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
        if listed:
            inputs += [helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in self.weights]
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, [shape[0], features])
        graph = helper.make_graph(self.nodes, "face", inputs, [result], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 10  # ONNX Runtime reads new ones a little later than onnx writes them
        onnx.save(model, path)
        return path


def write_ir_resnet(path: Path, batch: object = "None") -> Path:
    """As InsightFace's w600k_r50: batch normalization first, PReLU, a shortcut, a dense layer without pooling."""
    g = GraphWriter(11)
    x = g.prelu(g.batch_norm(g.conv("image", 3, 8), 8), 8)
    y = g.prelu(g.batch_norm(g.conv(g.batch_norm(x, 8), 8, 12), 12), 12)
    y = g.batch_norm(g.conv(y, 12, 12, strides=[2, 2]), 12)
    x = g.op("Add", y, g.batch_norm(g.conv(x, 8, 12, 1, strides=[2, 2], pads=[0] * 4), 12))
    x = g.op("Flatten", g.op("Dropout", g.batch_norm(x, 12)))
    x = g.op("Gemm", x, g.random(20, 12 * 256, low=-0.05, high=0.05), g.random(20), transB=1)
    return g.finish(path, g.batch_norm(x, 20), [batch, 3, SIZE, SIZE], 20, listed=True)


def write_mobilefacenet(path: Path) -> Path:
    """As w600k_mbf: depthwise convolutions, one over the whole map, a shape that is computed, length 1 by hand."""
    g = GraphWriter(12)
    x = g.prelu(g.conv("image", 3, 8, strides=[2, 2], bias=True), 8)
    x = g.prelu(g.conv(x, 8, 8, group=8, bias=True), 8)
    y = g.prelu(g.conv(x, 8, 16, 1, pads=[0] * 4), 16)
    y = g.prelu(g.conv(y, 16, 16, group=16, strides=[2, 2]), 16)
    x = g.conv(y, 16, 16, 8, group=16, pads=[0] * 4, bias=True)
    batch = g.op("Gather", g.op("Shape", x), g.constant(np.int64(0)), axis=0)
    shape = g.op("Concat", g.op("Unsqueeze", batch, axes=[0]), g.constant(np.array([-1])), axis=0)
    x = g.op("MatMul", g.op("Reshape", x, shape), g.random(16, 12))
    length = g.op("Clip", g.op("ReduceL2", x, axes=[1], keepdims=1), g.constant(np.float32(1e-12)))
    return g.finish(path, g.op("Div", x, g.op("Expand", length, g.op("Shape", x))), ["batch", 3, SIZE, SIZE], 12)


def write_ghostnet(path: Path) -> Path:
    """As GhostFaceNet from Keras: channels last outside, ghost channels, gates, PReLU by four operators."""
    g = GraphWriter(13)
    x = g.op("Mul", g.op("Sub", "image", g.constant(np.float32(127.5))), g.constant(np.float32(0.0078125)))
    x = g.op("Transpose", x, perm=[0, 3, 1, 2])
    x = g.conv(x, 3, 8, auto_pad="SAME_UPPER", strides=[2, 2])
    ghost = g.conv(x, 8, 8, group=8)
    x = g.op("Concat", x, ghost, axis=1)
    negative = g.op("Neg", g.op("Relu", g.op("Neg", x)))
    x = g.op("Add", g.op("Relu", x), g.op("Mul", negative, g.random(1, 16, 1, 1)))
    gate = g.op("ReduceMean", x, axes=[2, 3], keepdims=1)
    gate = g.op("HardSigmoid", g.conv(g.op("Relu", g.conv(gate, 16, 4, 1)), 4, 16, 1), alpha=1 / 6, beta=0.5)
    x = g.op("Mul", x, gate)
    x = g.op("Transpose", g.op("GlobalAveragePool", x), perm=[0, 2, 3, 1])
    x = g.op("Squeeze", x, g.constant(np.array([1, 2])))
    x = g.op("Gemm", x, g.random(16, 10), alpha=0.5)
    return g.finish(path, g.op("LpNormalization", x, axis=1), ["unk__1", SIZE, SIZE, 3], 10)


def write_edgeface(path: Path) -> Path:
    """As EdgeFace: normalized layers, GELU by erf, attention between channels, split and joined channels."""
    g = GraphWriter(17)
    x = g.conv("image", 3, 16, 4, strides=[4, 4], pads=[0] * 4, bias=True)
    y = g.op("Transpose", g.conv(x, 16, 16, 7, group=16), perm=[0, 2, 3, 1])
    y = g.op("LayerNormalization", y, g.random(16), g.random(16), axis=-1, epsilon=1e-6)
    y = g.op("Add", g.op("MatMul", y, g.random(16, 32)), g.random(32))
    gate = g.op("Add", g.op("Erf", g.op("Div", y, g.constant(np.float32(2**0.5)))), g.constant(np.float32(1)))
    y = g.op("Mul", g.op("Mul", y, gate), g.constant(np.float32(0.5)))
    y = g.op("Mul", g.random(16), g.op("MatMul", y, g.random(32, 16)))
    x = g.op("Add", x, g.op("Transpose", y, perm=[0, 3, 1, 2]))
    first, second = g.op("Split", x, axis=1, outputs=2)
    x = g.op("Concat", first, g.op("Relu", second), axis=1)
    tokens = g.op("Transpose", g.op("Reshape", x, g.constant(np.array([0, 16, 64]))), perm=[0, 2, 1])
    tokens = g.op("Add", tokens, g.random(1, 64, 16))  # positions
    x = _channel_attention(g, tokens)
    x = g.op("ReduceMean", g.op("Add", tokens, x), axes=[1], keepdims=0)
    return g.finish(path, g.op("MatMul", x, g.random(16, 14)), [1, 3, SIZE, SIZE], 14)


def _channel_attention(g: GraphWriter, tokens: str) -> str:
    qkv = g.op("Reshape", g.op("MatMul", tokens, g.random(16, 48)), g.constant(np.array([1, 64, 3, 4, 4])))
    qkv = g.op("Transpose", qkv, perm=[2, 0, 3, 4, 1])  # the batch is the second axis
    q, k, v = (g.op("Gather", qkv, g.constant(np.int64(index)), axis=0) for index in range(3))
    q, k = (g.op("Div", z, g.op("ReduceL2", z, axes=[-1], keepdims=1)) for z in (q, k))
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    scores = g.op("Softmax", g.op("Mul", scores, g.random(4, 1, 1, low=1.0, high=5.0)), axis=-1)
    x = g.op("Transpose", g.op("MatMul", scores, v), perm=[0, 3, 1, 2])
    return g.op("MatMul", g.op("Reshape", x, g.constant(np.array([1, 64, 16]))), g.random(16, 16))


def write_quantized(path: Path) -> Path:
    """8-bit weights in blocks with a scale each, as OpenCV's model zoo stores them."""
    g = GraphWriter(21)

    def quantized(*shape: int) -> str:
        columns = int(np.prod(shape[1:]))
        values = [g.constant(g.rng.integers(-128, 128, (shape[0], columns)).astype(np.int8))]
        values.append(g.random(shape[0], columns // 9, low=0.001, high=0.01))
        values.append(g.constant(g.rng.integers(-5, 5, (shape[0], columns // 9)).astype(np.int8)))
        flat = g.op("DequantizeLinear", *values, axis=1, block_size=9)
        return g.op("Reshape", flat, g.constant(np.array(shape)))

    x = g.op("Conv", "image", quantized(8, 3, 3, 3), pads=[1] * 4, strides=[2, 2])
    x = g.op("Relu", g.op("Conv", x, quantized(16, 8, 3, 3), pads=[0, 0, 1, 1], strides=[2, 2]))
    x = g.op("Flatten", g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    return g.finish(path, g.op("MatMul", x, g.random(256, 9)), [1, 3, SIZE, SIZE], 9)


def write_half(path: Path) -> Path:
    """16-bit weights that are read as 32-bit numbers."""
    g = GraphWriter(13)
    kernel = g.constant(g.rng.uniform(-1, 1, (8, 3, 3, 3)).astype(np.float16))
    x = g.op("Conv", "image", g.op("Cast", kernel, to=TensorProto.FLOAT), pads=[1] * 4, strides=[2, 2])
    x = g.op("GlobalAveragePool", g.op("Clip", x, g.constant(np.float32(0)), g.constant(np.float32(6))))
    return g.finish(path, g.op("Conv", x, g.random(7, 8, 1, 1)), [1, 3, SIZE, SIZE], 7)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "ir_resnet": write_ir_resnet,
    "mobilefacenet": write_mobilefacenet,
    "ghostnet": write_ghostnet,
    "edgeface": write_edgeface,
    "quantized": write_quantized,
    "half": write_half,
}


def reference_features(path: Path, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime gives for what the network expects, float32 (N, S, S, 3): rows of length 1."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of weights among the inputs
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    if source.shape[1] == 3:
        images = images.transpose(0, 3, 1, 2)
    rows = np.stack([session.run(None, {source.name: np.ascontiguousarray(x[None])})[0].ravel() for x in images])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
