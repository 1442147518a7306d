"""Read ONNX files: check the graph, and compute what depends on constants alone.

A file is data from anywhere: it may not point to other files, and no number in it makes this module allocate more
memory than its size allows.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

MAX_FILE = 1 << 31  # bytes; protobuf reads no more. The largest face networks in use have 1 GB
MAX_NODES = 20_000  # an IR-ResNet of 100 layers has 300
# Constants may be stored in 4 bits and become 32, and be reshaped or transposed on the way.
MAX_EXPANSION = 20
ALWAYS_ALLOWED = 1 << 28  # bytes of constants, however small the file is
# Operators that give constants from constants. None of them contains other graphs, loops, or searches text.
_FOLDABLE = """
    Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape Cos CumSum DequantizeLinear Div Equal Exp
    Expand Flatten Floor Gather GatherElements GatherND Gemm Greater Identity Less Log MatMul Max Min Mod Mul Neg
    Not Or Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Round Shape
    Sigmoid Sin Size Slice Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze Where
"""
FOLDABLE = frozenset(_FOLDABLE.split())
EVALUATED_FROM = {"DequantizeLinear": 19}  # the library evaluates no earlier versions, which mean the same
INLINE_VALUES = 1 << 16  # constants up to this many values may be shapes, axes or repeats, which set another's size


@dataclass
class OnnxFile:
    """A checked graph. Nothing of it has been computed yet."""

    nodes: list["onnx.NodeProto"]  # in an order in which each takes what earlier ones make
    constants: dict[str, np.ndarray]
    input_name: str
    input_shape: list[int | None]  # None where the file leaves it open
    outputs: list[str]
    opset: int  # the version of the operators' definitions
    data: bytes = field(repr=False)  # the file's content, without inputs that nothing uses
    budget: int = field(init=False)  # bytes that computed constants and weights may still take

    def __post_init__(self) -> None:
        self.budget = ALWAYS_ALLOWED + MAX_EXPANSION * len(self.data)

    def spend(self, count: int) -> None:
        """Note that constants or weights take `count` bytes more. Raises ValueError if the file does not justify it."""
        self.budget -= count
        if self.budget < 0:
            raise ValueError("its constants would take far more memory than the file")

    def fold(self, node: "onnx.NodeProto", operands: list[np.ndarray | None]) -> list[np.ndarray]:
        """Compute a node of FOLDABLE from its constant operands. Raises ValueError."""
        from onnx.reference import ReferenceEvaluator

        arrays = {name: array for name, array in zip(node.input, operands, strict=True) if name}
        try:
            self.spend(_result_bytes(node, arrays, self.opset))
            results = ReferenceEvaluator(_one_node_model(node, arrays, self.opset)).run(None, arrays)
        except Exception as exc:  # the library raises nearly anything
            raise ValueError(f"it cannot be computed: {first_line(exc)}") from None
        return [np.asarray(result) for result in results]


def read_onnx(path: Path) -> OnnxFile:
    """Read and check an ONNX file. Raises ValueError, with a message that goes on from the file's name."""
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"has more than {MAX_FILE:,} bytes")
    return parse_onnx(path.read_bytes())


def parse_onnx(data: bytes) -> OnnxFile:
    """`read_onnx` from the file's content."""
    import onnx

    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as exc:  # protobuf's exceptions differ between its implementations
        raise ValueError(f"is not an ONNX file, or it is damaged: {first_line(exc)}") from None
    graph = model.graph
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    newest = onnx.defs.onnx_opset_version()
    if not graph.node or not 1 <= opset <= newest:
        raise ValueError(f"is not an ONNX network of operator version 1 to {newest}. Received: version {opset}")
    if len(graph.node) > MAX_NODES:
        raise ValueError(f"has {len(graph.node):,} operators, more than {MAX_NODES:,}")
    if graph.sparse_initializer:
        raise ValueError("has sparse weights, which are not supported")
    constants = {tensor.name: read_tensor(tensor) for tensor in graph.initializer}
    used = {name for node in graph.node for name in node.input}
    for value in [value for value in graph.input if value.name not in used]:
        graph.input.remove(value)  # the weights of before a quantization, which ONNX Runtime would ask for
    inputs = [value for value in graph.input if value.name not in constants]  # old files list their weights, too
    if len(inputs) != 1:
        raise ValueError(f"must have one input, the image. Received: {[value.name for value in inputs][:5]}")
    shape = [dim.dim_value if dim.dim_value > 0 else None for dim in inputs[0].type.tensor_type.shape.dim]
    nodes, outputs = list(graph.node), [value.name for value in graph.output]
    return OnnxFile(nodes, constants, inputs[0].name, shape, outputs, opset, model.SerializeToString())


def read_tensor(tensor: "onnx.TensorProto") -> np.ndarray:
    """A constant of the file. Raises ValueError."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(
            "keeps its weights in another file, which is not supported: save it as one file with "
            "onnx.save(onnx.load('FILE.onnx'), 'ONE.onnx')"
        )
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as exc:  # the library raises nearly anything for damaged values
        raise ValueError(f"is damaged: its constant {tensor.name[:80]!r} cannot be read: {first_line(exc)}") from None


def node_name(node: "onnx.NodeProto") -> str:
    """What to call a node: its name, which is optional, or its first output's, which is not."""
    return node.name or next(filter(None, node.output), "") or node.op_type


def node_attributes(node: "onnx.NodeProto") -> dict[str, Any]:
    """The attributes of a node. Raises ValueError for those that hold other graphs."""
    from onnx import AttributeProto, helper

    plain: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) or attribute.ref_attr_name:
            raise ValueError(f"{node.op_type} {node_name(node)} contains another graph, which is not supported")
        value = read_tensor(attribute.t) if attribute.type == AttributeProto.TENSOR else None
        value = helper.get_attribute_value(attribute) if value is None else value
        plain[attribute.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return plain


def _one_node_model(node: "onnx.NodeProto", arrays: dict[str, np.ndarray], opset: int) -> "onnx.ModelProto":
    from onnx import helper

    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    opset = max(opset, EVALUATED_FROM.get(node.op_type, 1))
    return helper.make_model(
        helper.make_graph([node], "constants", inputs, outputs), opset_imports=[helper.make_opsetid("", opset)]
    )


def _result_bytes(node: "onnx.NodeProto", arrays: dict[str, np.ndarray], opset: int) -> int:
    """The bytes that a node's results will take, from the definition of its operator. Raises ValueError if unknown."""
    from onnx import defs, helper, numpy_helper, shape_inference

    types = {
        name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    }
    values = {
        name: numpy_helper.from_array(array, name) for name, array in arrays.items() if array.size <= INLINE_VALUES
    }
    schema = defs.get_schema(node.op_type, opset, "")
    results = shape_inference.infer_node_outputs(
        schema, node, types, values, opset_imports=[helper.make_opsetid("", opset)]
    )
    total = 0
    for name in filter(None, node.output):
        tensor = results[name].tensor_type
        if not all(dim.HasField("dim_value") for dim in tensor.shape.dim) or not tensor.HasField("shape"):
            raise ValueError("the size of its result is unknown")
        size = 1
        for dim in tensor.shape.dim:
            size *= max(0, dim.dim_value)
        total += size * helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return total


def first_line(exc: Exception) -> str:
    """The first line of a library's message, or the kind of exception."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return next(itertools.islice(lines, 1), type(exc).__name__)[:200]
