"""Feature pickles that attack: code, wrong states, lies about sizes, nesting, floods, repetitions."""

import struct
from collections.abc import Callable

import numpy as np

from utils.features.safe_pickle import MAX_OPCODES

MATRIX = np.array([[1.5, -2.25, 3.0], [0.5, 100.0, -7.0]], np.float32)

# The parts of a pickled array in protocol 2, to be put together wrongly.
ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
DTYPE = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR"
LITTLE = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
DATA = MATRIX.tobytes()


def state(shape: bytes = b"K\x02K\x03\x86", dtype: bytes = DTYPE + LITTLE, data: bytes = DATA) -> bytes:
    """The opcodes that set an array's state."""
    return b"(K\x01" + shape + dtype + b"\x89B" + struct.pack("<I", len(data)) + data + b"tb"


def dtype_of(code: bytes, dtype_state: bytes = LITTLE) -> bytes:
    return b"cnumpy\ndtype\n(U" + bytes([len(code)]) + code + b"K\x00K\x01tR" + dtype_state


def long1(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def encode(text: bytes) -> bytes:
    """The opcodes that make bytes of a text, as Python 3 does in protocol 2."""
    return b"c_codecs\nencode\n" + text + b"X\x06\x00\x00\x00latin1\x86R"


BIG_TEXT = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)  # 1 MB

HOSTILE_PICKLES = {
    "array state set twice": ARRAY + state() + state() + b".",
    "dtype state set twice": ARRAY + state(dtype=DTYPE + LITTLE + LITTLE) + b".",
    "smaller state after a view": b"\x80\x02"
    + ARRAY
    + state()
    + b"\x94"
    + state(b"K\x01K\x01\x86", data=b"1234")
    + b".",
    "state of a name": b"cnumpy\nndarray\n" + state() + b".",
    "state is a dict": ARRAY + b"N" + b"b.",
    "state of four": ARRAY + b"(K\x01K\x02K\x03Ntb.",
    "void dtype": ARRAY + state(dtype=dtype_of(b"V4")) + b".",
    "object dtype": ARRAY + state(dtype=dtype_of(b"O8")) + b".",
    "object dtype, half": ARRAY + state(dtype=dtype_of(b"O")) + b".",
    "integer dtype": ARRAY + state(dtype=dtype_of(b"i4")) + b".",
    "text dtype": ARRAY + state(dtype=dtype_of(b"U1")) + b".",
    "structured dtype": ARRAY + state(dtype=dtype_of(b"V4", b"(K\x03U\x01|NU\x01a\x85)K\x04K\x01K\x10tb")) + b".",
    "subarray dtype": ARRAY + state(dtype=dtype_of(b"f4", b"(K\x03U\x01<K\x01K\x02\x86NNK\x04K\x01K\x00tb")) + b".",
    "odd byte order": ARRAY + state(dtype=dtype_of(b"f4", LITTLE.replace(b"<", b"x"))) + b".",
    "long dtype code": ARRAY + state(dtype=dtype_of(b"f" * 255)) + b".",
    "too few bytes": ARRAY + state(data=DATA[:-1]) + b".",
    "too many bytes": ARRAY + state(data=DATA + b"1") + b".",
    "no bytes": ARRAY + state(data=b"") + b".",
    "no data": ARRAY + b".",
    "negative side": ARRAY + state(b"J\xff\xff\xff\xffJ\xfa\xff\xff\xff\x86") + b".",
    "zero side": ARRAY + state(b"K\x00K\x03\x86", data=b"") + b".",
    "huge side": ARRAY + state(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86") + b".",
    "side of 2000 bits": ARRAY + state(long1(1 << 2000) + b"K\x01\x86") + b".",
    "sides that wrap around to 6": ARRAY + state(long1((1 << 63) + 3) + b"K\x02\x86") + b".",
    "side is true": ARRAY + state(b"\x88K\x06\x86") + b".",
    "side is a name": ARRAY + state(b"cnumpy\nndarray\nK\x06\x86") + b".",
    "three dimensions": ARRAY + state(b"K\x01K\x02K\x03\x87") + b".",
    "no dimension": ARRAY + state(b")") + b".",
    "memo index 2^28": b"N" + b"r\x00\x00\x00\x10" + b".",
    "memo index 2^31 read": b"j\xff\xff\xff\x7f.",
    "memo index of 30 digits": b"Np" + b"9" * 30 + b"\n.",
    "memo index negative": b"Np-1\n.",
    "huge BINBYTES": b"B\xff\xff\xff\xff.",
    "huge BINBYTES8": b"\x8e" + b"\xff" * 7 + b"\x7f.",
    "huge BINUNICODE": b"X\xff\xff\xff\x7f.",
    "huge BINUNICODE8": b"\x8d" + b"\xff" * 8 + b".",
    "huge BYTEARRAY8": b"\x96" + b"\xff" * 7 + b"\x0f.",
    "huge BINSTRING": b"T\xff\xff\xff\x7f.",
    "huge FRAME": b"\x80\x04\x95" + b"\xff" * 8 + b".",
    "deep nesting": b")" + b"\x85" * 2_000_000 + b".",
    "deep nesting below the limit": ARRAY + b")" + b"\x85" * (MAX_OPCODES - 20) + b"b.",
    "hash of shared tuples": b")" + b"q\x00h\x00\x86" * 300 + b"Nr.",
    "shared tuples as an argument": b"cnumpy._core.multiarray\n_reconstruct\n("
    + b")"
    + b"q\x00h\x00\x86" * 300
    + b")NtR.",
    "shared tuples as a shape": ARRAY + state(b")" + b"q\x00h\x00\x86" * 300) + b".",
    "opcode flood": b"N" * 100_000 + b".",
    "mark flood": b"(" * 100_000 + b"t.",
    "memo flood": b"N" + b"\x94" * 100_000 + b".",
    "PROTO flood": b"\x80\x02" * 100_000 + b".",
    "text encoded again and again": BIG_TEXT + b"q\x000" + encode(b"h\x00") * 50 + b".",
    "text encoded again, kept": BIG_TEXT + b"q\x00" + encode(b"h\x00") * 100 + b".",
    "other encoding": b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00utf-7\x86R.",
    "encoding of bytes": b"c_codecs\nencode\nC\x01aX\x06\x00\x00\x00latin1\x86R.",
    "LONG of a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "INT of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "INT of text": b"Ix\n.",
    "LONG4": b"\x8b\xff\xff\xff\x7f.",
    "STACK_GLOBAL posix.system": b"\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "STACK_GLOBAL of numbers": b"K\x01K\x02\x93.",
    "STACK_GLOBAL dotted": b"\x8c\x05numpy\x8c\x0dndarray.dumps\x93.",
    "GLOBAL builtins.eval": b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
    "GLOBAL numpy.ndarray.tofile": b"cnumpy\nndarray.tofile\n.",
    "GLOBAL without an end": b"cnumpy",
    "GLOBAL of a terminal code": b"c\x1b[2J\n\x1b]0;x\x07\n.",
    "call of numpy.ndarray": b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R.",
    "call of a number": b"K\x01)R.",
    "call with a list": b"cnumpy\ndtype\n]R.",
    "dtype with one argument": b"cnumpy\ndtype\nU\x02f4\x85R.",
    "dtype of a dtype": b"cnumpy\ndtype\n" + DTYPE + b"K\x00K\x01\x87R.",
    "buffer is an array": b"cnumpy._core.numeric\n_frombuffer\n("
    + ARRAY
    + state()
    + DTYPE
    + b"K\x02K\x03\x86U\x01CtR.",
    "buffer in an odd order": b"cnumpy._core.numeric\n_frombuffer\n(C\x041234" + DTYPE + b"K\x01K\x01\x86U\x01KtR.",
    "state after a buffer": b"cnumpy._core.numeric\n_frombuffer\n(C\x041234"
    + DTYPE
    + b"K\x01K\x01\x86U\x01CtR"
    + state()
    + b".",
    "INST": b"(X\x04\x00\x00\x00trueiposix\nsystem\n.",
    "OBJ": b"(cposix\nsystem\no.",
    "NEWOBJ": b"cnumpy\nndarray\nK\x06\x85\x85\x81.",
    "NEWOBJ_EX": b"cnumpy\nndarray\n)}\x92.",
    "EXT1": b"\x82\x01.",
    "EXT2": b"\x83\x01\x00.",
    "EXT4": b"\x84\x01\x00\x00\x00.",
    "PERSID": b"Pid\n.",
    "BINPERSID": b"NQ.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "read-only buffer": b"\x80\x05C\x041234\x98.",
    "list": b"]K\x01a.",
    "dict": b"}K\x01K\x02s.",
    "set": b"\x80\x04\x8f(K\x01\x90.",
    "float": b"G" + struct.pack(">d", 1.0) + b".",
    "SETITEM on an array": ARRAY + state() + b"K\x00K\x01s.",
    "APPEND to an array": ARRAY + state() + b"K\x00a.",
    "DUP": ARRAY + state() + b"2.",
    "POP": b"0.",
    "empty": b"",
    "only STOP": b".",
    "no STOP": ARRAY + state(),
    "the mark": b"(.",
    "the mark in the memo": b"(q\x00h\x00h\x00tq\x01.",
    "surrogates": b"X\x03\x00\x00\x00\xed\xa0\x80.",
    "invalid UTF-8": b"X\x01\x00\x00\x00\xff.",
    "raw escape beyond Unicode": b"V\\Uffffffff\n.",
    "string without quotes": b"Sabc\n.",
    "string with a bad escape": b"S'\\x'\n.",
    "string with an odd escape": b"S'\\d'\n.",
}


class Hostile:
    """Is pickled as a call of any function. That is how a pickle runs code."""

    def __init__(self, function: Callable, *arguments: object):
        self.call = function, arguments

    def __reduce__(self):
        return self.call
