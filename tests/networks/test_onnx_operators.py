"""Every operator gives what ONNX Runtime computes for it."""

import numpy as np
import pytest
from onnx_networks import SIZE, GraphWriter

from utils.features.inference import inference_model
from utils.keras_models import load_model, save_model
from utils.networks.onnx_file import read_onnx
from utils.networks.onnx_network import build_onnx_network
from utils.networks.onnx_parity import parity_images, run_onnx

pytestmark = pytest.mark.slow


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# Each takes an image (1, 6, 8, 8) and tokens (1, 12, 6) and makes one result.
EARLY = {  # as version 9 has them: what later versions take as operands is an attribute
    "clip": lambda g, x, t: g.op("Clip", x, min=-0.5, max=0.5),
    "relu6": lambda g, x, t: g.op("Clip", x, min=0.0, max=0.3),
    "pad": lambda g, x, t: g.op("Conv", g.op("Pad", x, pads=[0, 0, 1, 0, 0, 0, 2, 1]), g.random(2, 6, 3, 3)),
    "pad with ones": lambda g, x, t: g.op("Pad", x, pads=[0, 1, 1, 0, 0, 0, 2, 1], value=1.0),
    "slice": lambda g, x, t: g.op("Slice", x, axes=[1, 3], starts=[1, -4], ends=[3, 9999]),
    "squeeze": lambda g, x, t: g.op("Squeeze", g.op("GlobalMaxPool", x), axes=[2, 3]),
    "unsqueeze": lambda g, x, t: g.op("Unsqueeze", t, axes=[1]),
    "split": lambda g, x, t: g.op("Split", x, axis=1, split=[2, 1, 3], outputs=3)[2],
    "softmax": lambda g, x, t: g.op("Softmax", t, axis=2),
    "reduce": lambda g, x, t: g.op("ReduceSum", x, axes=[1], keepdims=0),
    "one slope": lambda g, x, t: g.op("PRelu", x, g.random(1, low=0.1)),
    "slopes of tokens": lambda g, x, t: g.op("PRelu", t, g.random(1, 12, 1)),
    "slopes of all": lambda g, x, t: g.op("PRelu", x, g.random(6, 8, 8)),
    "leaky": lambda g, x, t: g.op("LeakyRelu", x, alpha=0.2),
    "elu": lambda g, x, t: g.op("Elu", x, alpha=0.7),
    "uneven pads": lambda g, x, t: g.conv(x, 6, 4, pads=[2, 0, 1, 3], strides=[2, 1]),
    "same lower": lambda g, x, t: g.conv(x, 6, 4, 4, auto_pad="SAME_LOWER"),
    "no pads": lambda g, x, t: g.conv(x, 6, 4, auto_pad="VALID", dilations=[2, 1]),
    "two filters a channel": lambda g, x, t: g.conv(x, 6, 12, group=6, bias=True),
    "groups": lambda g, x, t: g.conv(x, 6, 9, group=3, bias=True),
    "average": lambda g, x, t: g.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
    "average inside": lambda g, x, t: g.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4),
    "halved average": lambda g, x, t: g.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]),
    "maximum": lambda g, x, t: g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
    "maximum of 2": lambda g, x, t: g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]),
    "dense with factors": lambda g, x, t: g.op(
        "Gemm", g.op("Flatten", x), g.random(384, 5), g.random(1), alpha=0.5, beta=2.0
    ),
    "normalized tokens": lambda g, x, t: g.op("BatchNormalization", t, *[g.random(12, low=0.5) for _ in range(4)]),
    "normalized rows": lambda g, x, t: g.batch_norm(g.op("Reshape", x, g.constant(ints(-1, 384))), 384),
}
LATE = {
    "maximum that fits": lambda g, x, t: g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "clip from below": lambda g, x, t: g.op("Clip", x, g.constant(np.float32(0.1))),
    "clip from above": lambda g, x, t: g.op("Clip", x, "", g.constant(np.float32(0.1))),
    "clip at zero": lambda g, x, t: g.op("Clip", x, g.constant(np.float32(0))),
    "sigmoid": lambda g, x, t: g.op("Sigmoid", x),
    "hard sigmoid": lambda g, x, t: g.op("HardSigmoid", x),
    "hard swish": lambda g, x, t: g.op("HardSwish", x),
    "swish": lambda g, x, t: g.op("Mul", x, g.op("Sigmoid", x)),
    "mish": lambda g, x, t: g.op("Mul", x, g.op("Tanh", g.op("Softplus", x))),
    "gelu": lambda g, x, t: g.op("Gelu", x),
    "gelu by tanh": lambda g, x, t: g.op("Gelu", x, approximate="tanh"),
    "powers": lambda g, x, t: g.op("Pow", g.op("Pow", x, g.constant(2.0)), g.constant(1.5)),
    "roots": lambda g, x, t: g.op("Log", g.op("Sqrt", g.op("Add", g.op("Abs", g.op("Exp", x)), g.constant(1.0)))),
    "reciprocal": lambda g, x, t: g.op("Reciprocal", g.op("Add", g.op("Abs", x), g.constant(1.0))),
    "constant first": lambda g, x, t: g.op(
        "Div", g.constant(2.0), g.op("Sub", g.constant(9.0), g.op("Tanh", g.op("Neg", x)))
    ),
    "by channel": lambda g, x, t: g.op("Mul", g.op("Add", x, g.random(1, 6, 1, 1)), g.random(6, 1, 1)),
    "by row": lambda g, x, t: g.op("Add", x, g.random(8, 1)),
    "by channel and column": lambda g, x, t: g.op("Sub", x, g.random(6, 1, 8)),
    "by position": lambda g, x, t: g.op("Div", t, g.random(1, 12, 6, low=0.5)),
    "grown by a constant": lambda g, x, t: g.op("Add", g.op("GlobalAveragePool", x), g.random(1, 1, 2, 3)),
    "grown by rank": lambda g, x, t: g.op(
        "ReduceSum", g.op("Mul", t, g.random(2, 1, 1, 6)), g.constant(ints(0)), keepdims=0
    ),
    "expanded": lambda g, x, t: g.op("Expand", g.op("GlobalAveragePool", x), g.constant(ints(1, 6, 2, 2))),
    "image and tokens": lambda g, x, t: g.op("Add", x, g.op("ReduceMean", x, g.constant(ints(2, 3)))),
    "maximum with a number": lambda g, x, t: g.op("Max", x, g.constant(0.2)),
    "minimum of two": lambda g, x, t: g.op("Min", x, g.op("Neg", x)),
    "means of rows": lambda g, x, t: g.op("ReduceMean", x, g.constant(ints(3)), keepdims=0),
    "maxima": lambda g, x, t: g.op("ReduceMax", t, g.constant(ints(-1))),
    "all sums": lambda g, x, t: g.op("ReduceSum", x, g.constant(ints(1, 2, 3))),
    "softmax of rows": lambda g, x, t: g.op("Softmax", t, axis=1),
    "unit length": lambda g, x, t: g.op("LpNormalization", t, axis=1),
    "normalized layer": lambda g, x, t: g.op("LayerNormalization", t, g.random(6), epsilon=1e-3),
    "matrix left": lambda g, x, t: g.op("MatMul", g.random(5, 12), t),
    "matrix right": lambda g, x, t: g.op("MatMul", x, g.random(1, 1, 8, 3)),
    "matrices": lambda g, x, t: g.op("MatMul", t, g.op("Transpose", t, perm=[0, 2, 1])),
    "transposed thrice": lambda g, x, t: g.op(
        "Transpose", g.op("Relu", g.op("Transpose", g.op("Transpose", x), perm=[2, 3, 1, 0])), perm=[1, 0, 3, 2]
    ),
    "shuffled channels": lambda g, x, t: g.op(
        "Reshape",
        g.op("Transpose", g.op("Reshape", x, g.constant(ints(0, 2, 3, 8, 8))), perm=[0, 2, 1, 3, 4]),
        g.constant(ints(0, -1, 8, 8)),
    ),
    "slice in steps": lambda g, x, t: g.op(
        "Slice", x, *[g.constant(ints(*v)) for v in ((0, 1), (9, 8), (2, 3), (2, 3))]
    ),
    "chosen channels": lambda g, x, t: g.op("Gather", x, g.constant(ints(4, -1, 0)), axis=1),
    "one channel": lambda g, x, t: g.op("Gather", x, g.constant(np.int64(-2)), axis=1),
    "even split": lambda g, x, t: g.op("Split", x, axis=2, outputs=3, num_outputs=3)[2],
    "joined": lambda g, x, t: g.op("Concat", x, g.op("Transpose", x, perm=[0, 1, 3, 2]), axis=-2),
    "squeezed all": lambda g, x, t: g.op("Squeeze", g.op("GlobalAveragePool", x), g.constant(ints(-1, 2))),
    "unsqueezed twice": lambda g, x, t: g.op("Unsqueeze", t, g.constant(ints(-1, 1))),
    "cast": lambda g, x, t: g.op("Cast", x, to=1),
    "shape's part": lambda g, x, t: g.op(
        "Reshape", x, g.op("Concat", g.op("Shape", x, end=1), g.constant(ints(-1)), axis=0)
    ),
    "pads by axis": lambda g, x, t: g.op("Pad", t, g.constant(ints(1, 2)), "", g.constant(ints(1))),
}


@pytest.mark.parametrize(("opset", "cases"), [(9, EARLY), (20, LATE)])
def test_operators_equal_onnx_runtimes(tmp_path, opset, cases):
    """Also after saving, safe loading and folding. All in one network, since each network would have to be compiled."""
    g = GraphWriter(opset)
    x = g.conv("image", 3, 6, 4, strides=[4, 4], pads=[0] * 4)
    t = g.op("Reshape", g.conv(x, 6, 72, 8, pads=[0] * 4), g.constant(ints(-1, 12, 6)))
    parts = [g.op("Flatten", case(g, x, t), name=f"case_{name}") for name, case in cases.items()]
    path = g.finish(tmp_path / "all.onnx", g.op("Concat", *parts, axis=1), [1, 3, SIZE, SIZE], 0)
    network = build_onnx_network(read_onnx(path), "image", "first")
    images = parity_images(SIZE, np.random.default_rng(0))
    save_model(network.model, tmp_path / "all.keras")
    loaded = inference_model(load_model(tmp_path / "all.keras"))
    expected, actual = run_onnx(network, images), loaded.predict_on_batch(images)
    sizes = [layer.output.shape[1] for layer in network.model.layers if layer.name.startswith("case_")]
    assert len(sizes) >= len(cases) and actual.shape == expected.shape
    difference = np.abs(actual - expected) / (1e-2 + np.abs(expected).max())
    np.testing.assert_array_less(difference, 1e-4)
