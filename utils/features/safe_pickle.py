"""Read a pickled feature matrix without running the pickle.

A pickle is a program that builds objects. Python's own unpickler runs it on real objects, and limiting the names
that it may use is not enough: opcodes can set the state of a numpy array twice, or to numbers that contradict each
other, and then read and write memory out of bounds. Here no numpy object exists while the program runs. A small
interpreter knows only the opcodes that array pickles consist of, and records what they would build as inert
stand-ins. The array is made afterwards, from checked numbers.

The opcodes are documented in Python's `pickletools`. All protocols load, from Python 2 and 3 and numpy 1 and 2.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_OPCODES = 1000  # a matrix takes under 200
MAX_DIGITS = 20  # of an integer in text: sizes fit into 64 bits

NDARRAY, DTYPE, ENCODE = ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")
# numpy 1 and 2 name their modules differently.
RECONSTRUCT = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
FROM_BUFFER = {("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")}
KNOWN_NAMES = {NDARRAY, DTYPE, ENCODE} | RECONSTRUCT | FROM_BUFFER
FLOATS = ("f2", "f4", "f8")  # float16, float32, float64


@dataclass(frozen=True)
class _Name:
    """Stands in for a class or function that the pickle names."""

    path: tuple[str, str]  # module and name


@dataclass
class _Dtype:
    """Stands in for a numpy dtype."""

    code: str  # one of FLOATS, if it is the dtype of a feature matrix
    byte_order: Any = None  # "<", ">", "=" or "|"; None until the pickle sets it


@dataclass
class _Array:
    """Stands in for a numpy array."""

    shape: tuple = ()
    dtype: _Dtype | None = None
    order: Any = "C"  # or "F", for columns first
    data: bytes | None = None  # None until the pickle sets it


_MARK = object()  # on the stack: where the items of a tuple start


def unpickle_matrix(data: bytes) -> np.ndarray:
    """The float32 matrix (n, D) in a pickle of any protocol.

    Raises ValueError for anything else, and for a matrix with values that are not finite in float32.
    """
    try:
        array = _Interpreter(data).run()
    except (
        IndexError,
        KeyError,
        UnicodeError,
        Warning,
    ):  # odd escapes are a warning, or an error with `python -W error`
        raise ValueError("not a feature matrix: the pickle is damaged") from None
    if not isinstance(array, _Array) or array.data is None or array.dtype is None:
        raise ValueError("expected a matrix (n, D) of floats. Received: something else")
    shape = array.shape
    sides_fit = len(shape) == 2 and all(type(side) is int and 0 < side <= len(array.data) for side in shape)
    if array.dtype.code not in FLOATS or not sides_fit:
        raise ValueError("expected a matrix (n, D) of floats. Received: an array of another kind or shape")
    kind = np.dtype((array.dtype.byte_order or "=") + array.dtype.code)
    rows, columns = shape
    if rows * columns * kind.itemsize != len(array.data):
        raise ValueError(f"not a feature matrix: {len(array.data)} bytes do not fill {rows} × {columns} numbers")
    flat = np.frombuffer(array.data, kind)
    stored = flat.reshape(rows, columns) if array.order == "C" else flat.reshape(columns, rows).T
    with np.errstate(over="ignore"):  # float64 values beyond float32 become infinite and are refused
        matrix = np.array(stored, np.float32, order="C")
    if not np.isfinite(matrix).all():
        raise ValueError("the feature matrix contains numbers that are not finite in float32")
    return matrix


def _text(value: object) -> str:
    """A short text, which Python 2 pickles as bytes. Raises ValueError for anything else."""
    if isinstance(value, bytes) and len(value) < 100:
        return value.decode("latin1")
    if isinstance(value, str) and len(value) < 100:
        return value
    raise ValueError("not a feature matrix: odd text")


class _Interpreter:
    """Executes the opcodes of an array pickle on stand-ins. Raises ValueError, IndexError, KeyError, UnicodeError."""

    def __init__(self, data: bytes):
        self.data = data
        self.position = 0
        self.stack: list = []
        self.memo: dict[int, object] = {}
        self.encodable = 2 * len(data)  # characters that may still become bytes: each takes memory anew

    def run(self) -> object:
        """The object that the pickle builds."""
        for _ in range(MAX_OPCODES):
            opcode = self.take(1)
            if opcode == b".":
                return self.stack.pop()
            if opcode not in _OPCODES:
                raise ValueError(f"refused: the pickle has the opcode {opcode!r}, which no feature matrix needs")
            _OPCODES[opcode](self)
        raise ValueError(f"refused: the pickle has over {MAX_OPCODES} opcodes, which no feature matrix needs")

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.position:
            raise ValueError("not a feature matrix: the pickle ends too early")
        self.position += count
        return self.data[self.position - count : self.position]

    def take_sized(self, width: int) -> bytes:
        """Bytes after their own count, which is `width` bytes long."""
        return self.take(self.take_int(width))

    def take_int(self, width: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(width), "little", signed=signed)

    def take_line(self) -> bytes:
        end = self.data.find(b"\n", self.position)
        return self.take(end + 1 - self.position)[:-1]

    def take_text_int(self) -> int:
        text = self.take_line().removesuffix(b"L")
        if len(text) > MAX_DIGITS:
            raise ValueError("not a feature matrix: an integer has too many digits")
        return int(text)

    def take_quoted(self) -> bytes:
        """A string of protocol 0, as Python 2's repr writes it."""
        text = self.take_line()
        if len(text) < 2 or text[:1] not in (b"'", b'"') or text[-1:] != text[:1]:
            raise ValueError("not a feature matrix: a string without quotes")
        return codecs.escape_decode(text[1:-1])[0]

    def push(self, value: object) -> None:
        self.stack.append(value)

    def push_text_int(self) -> None:
        start = self.data[self.position : self.position + 3]
        if start in (b"00\n", b"01\n"):  # booleans of protocol 0
            self.push(self.take_line() == b"01")
        else:
            self.push(self.take_text_int())

    def push_tuple(self, size: int) -> None:
        if size > len(self.stack):
            raise IndexError
        start = len(self.stack) - size
        items = tuple(self.stack[start:])
        del self.stack[start:]
        self.push(items)

    def push_marked_tuple(self) -> None:
        size = next((i for i, value in enumerate(reversed(self.stack)) if value is _MARK), len(self.stack))
        self.push_tuple(size)
        items = self.stack.pop()
        self.stack.pop()  # the mark
        self.push(items)

    def push_name(self, module: str, name: str) -> None:
        if (module, name) not in KNOWN_NAMES:
            # As ASCII, because the name may contain codes that change a terminal.
            asked = ascii(f"{module}.{name}")
            raise ValueError(f"refused: the pickle asks for {asked}, which no feature matrix needs")
        self.push(_Name((module, name)))

    def push_line_name(self) -> None:
        module, name = (_text(self.take_line()) for _ in range(2))
        self.push_name(module, name)

    def push_stack_name(self) -> None:
        name, module = _text(self.stack.pop()), _text(self.stack.pop())
        self.push_name(module, name)

    def memoize(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def call(self) -> None:
        """REDUCE: call a named function with a tuple of arguments."""
        arguments, function = self.stack.pop(), self.stack.pop()
        path = function.path if isinstance(function, _Name) else None
        if not isinstance(arguments, tuple) or path is None:
            raise ValueError("not a feature matrix: odd call")
        if path == ENCODE and len(arguments) == 2:
            self.push(self.encode(*arguments))
        elif path == DTYPE and len(arguments) == 3:
            self.push(_Dtype(_text(arguments[0])))
        elif path in RECONSTRUCT and len(arguments) == 3 and arguments[0] == _Name(NDARRAY):
            self.push(_Array())
        elif path in FROM_BUFFER and len(arguments) == 4:
            buffer, dtype, shape, order = arguments
            self.push(_Array())
            self.fill(self.stack[-1], shape, dtype, order, buffer)
        else:
            raise ValueError(f"not a feature matrix: odd call of {'.'.join(path)}")

    def encode(self, text: object, encoding: object) -> bytes:
        """`_codecs.encode`, by which Python 3 writes bytes in protocols 0 to 2."""
        if not isinstance(text, str) or _text(encoding) != "latin1":
            raise ValueError("not a feature matrix: odd encoding")
        self.encodable -= len(text)
        if self.encodable < 0:
            raise ValueError("refused: the pickle repeats its data, which no feature matrix needs")
        return text.encode("latin1")

    def build(self) -> None:
        """BUILD: set the state of the object below it on the stack, once."""
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(state, tuple):
            raise ValueError("not a feature matrix: odd state")
        if isinstance(target, _Dtype) and target.byte_order is None and len(state) == 8:
            # (version, byte order, subarray, names, fields, itemsize, alignment, flags)
            if any(part is not None for part in state[2:5]) or _text(state[1]) not in ("<", ">", "=", "|"):
                raise ValueError("not a feature matrix: odd dtype")
            target.byte_order = _text(state[1])
        elif isinstance(target, _Array) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            self.fill(target, shape, dtype, "F" if fortran is True or fortran == 1 else "C", data)
        else:
            raise ValueError("not a feature matrix: odd state")

    @staticmethod
    def fill(array: _Array, shape: object, dtype: object, order: object, data: object) -> None:
        if array.data is not None:
            raise ValueError("refused: the pickle sets an array twice, which no feature matrix needs")
        if not (isinstance(shape, tuple) and isinstance(dtype, _Dtype) and isinstance(data, bytes)):
            raise ValueError("not a feature matrix: odd array")
        if order not in ("C", "F"):
            raise ValueError("not a feature matrix: odd order")
        array.shape, array.dtype, array.order, array.data = shape, dtype, order, data


def _decode_utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


_OPCODES: dict[bytes, Callable[[_Interpreter], object]] = {
    b"\x80": lambda vm: vm.take(1),  # PROTO
    b"\x95": lambda vm: vm.take(8),  # FRAME
    b"(": lambda vm: vm.push(_MARK),
    b"N": lambda vm: vm.push(None),
    b"\x88": lambda vm: vm.push(True),
    b"\x89": lambda vm: vm.push(False),
    # Integers
    b"I": _Interpreter.push_text_int,
    b"L": lambda vm: vm.push(vm.take_text_int()),
    b"J": lambda vm: vm.push(vm.take_int(4, signed=True)),
    b"K": lambda vm: vm.push(vm.take_int(1)),
    b"M": lambda vm: vm.push(vm.take_int(2)),
    b"\x8a": lambda vm: vm.push(vm.take_int(vm.take_int(1), signed=True)),
    # Bytes, and the strings of Python 2
    b"S": lambda vm: vm.push(vm.take_quoted()),
    b"T": lambda vm: vm.push(vm.take_sized(4)),
    b"U": lambda vm: vm.push(vm.take_sized(1)),
    b"B": lambda vm: vm.push(vm.take_sized(4)),
    b"C": lambda vm: vm.push(vm.take_sized(1)),
    b"\x8e": lambda vm: vm.push(vm.take_sized(8)),
    b"\x96": lambda vm: vm.push(vm.take_sized(8)),
    # Text
    b"V": lambda vm: vm.push(vm.take_line().decode("raw-unicode-escape")),
    b"X": lambda vm: vm.push(_decode_utf8(vm.take_sized(4))),
    b"\x8c": lambda vm: vm.push(_decode_utf8(vm.take_sized(1))),
    b"\x8d": lambda vm: vm.push(_decode_utf8(vm.take_sized(8))),
    # Tuples
    b")": lambda vm: vm.push(()),
    b"t": _Interpreter.push_marked_tuple,
    b"\x85": lambda vm: vm.push_tuple(1),
    b"\x86": lambda vm: vm.push_tuple(2),
    b"\x87": lambda vm: vm.push_tuple(3),
    # The memo
    b"p": lambda vm: vm.memoize(vm.take_text_int()),
    b"q": lambda vm: vm.memoize(vm.take_int(1)),
    b"r": lambda vm: vm.memoize(vm.take_int(4)),
    b"\x94": lambda vm: vm.memoize(len(vm.memo)),
    b"g": lambda vm: vm.push(vm.memo[vm.take_text_int()]),
    b"h": lambda vm: vm.push(vm.memo[vm.take_int(1)]),
    b"j": lambda vm: vm.push(vm.memo[vm.take_int(4)]),
    # Objects
    b"c": _Interpreter.push_line_name,
    b"\x93": _Interpreter.push_stack_name,
    b"R": _Interpreter.call,
    b"b": _Interpreter.build,
}
