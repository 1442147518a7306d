"""Alter valid files at random, byte by byte and along their structure: what benchmarks/fuzz.py feeds to the readers."""

import contextlib
import copy
import io
import json
import pickletools
import random
import warnings
import zipfile
from collections.abc import Callable

Mutation = Callable[[bytes, list[bytes], random.Random], bytes]  # (a valid file, all valid files, dice) → another

MAX_EDITS = 8  # of one file
MAX_BLOCK = 64  # bytes that one edit moves, in most cases
NESTING = 200_000  # of JSON brackets
# Powers of two and their neighbors, where sizes overflow, and values just inside and outside usual limits.
INTERESTING = sorted({sign * (1 << bits) + off for bits in range(65) for off in (-1, 0, 1) for sign in (1, -1)})


def interesting_bytes(rng: random.Random) -> bytes:
    """An interesting integer of 1, 2, 4 or 8 bytes in either order."""
    width = rng.choice((1, 2, 4, 8))
    number = rng.choice(INTERESTING) % (1 << 8 * width)
    return number.to_bytes(width, rng.choice(("little", "big")))


def mutate_bytes(data: bytes, others: list[bytes], rng: random.Random, within: int | None = None) -> bytes:
    """Make 1 to MAX_EDITS changes. within: only to about so many bytes at the start."""
    out = bytearray(data)
    for _ in range(rng.randint(1, MAX_EDITS)):
        limit = min(len(out), within or len(out))
        at, size = rng.randint(0, limit), rng.randint(1, MAX_BLOCK)
        kind = rng.randrange(9)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + 1] = rng.randbytes(1)
        elif kind == 2:
            del out[at : at + size]
        elif kind == 3:
            out[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 4:
            number = interesting_bytes(rng)
            out[at : at + len(number)] = number
        elif kind == 5:
            out[at:at] = out[at : at + size] * rng.choice((1, 1, 2, 100))
        elif kind == 6:
            other = rng.choice(others)
            start = rng.randint(0, min(len(other), limit))
            out[at : at + rng.choice((0, size))] = other[start : start + size]
        elif kind == 7:
            out[at : at + size] = bytes([rng.choice((0, 255, 32, 48))]) * min(size, len(out) - at)
        elif rng.random() < 0.2:  # most cuts are refused at once
            del out[at:]
    return bytes(out)


def mutate_blocks(blocks: list[bytes], others: list[bytes], rng: random.Random) -> list[bytes]:
    """Drop, repeat, swap, replace or alter 1 to 4 of a file's blocks. others: blocks of the same kind of file."""
    blocks = list(blocks)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(blocks)) if blocks else 0
        kind = rng.randrange(6)
        if kind == 0:
            del blocks[at : at + 1]
        elif kind == 1:
            blocks[at:at] = blocks[at : at + rng.randint(1, 3)] * rng.choice((1, 1, 1, 50))
        elif kind == 2 and blocks:
            other = rng.randrange(len(blocks))
            blocks[at], blocks[other] = blocks[other], blocks[at]
        elif kind == 3:
            blocks[at:at] = [rng.choice(others)]
        elif blocks:
            blocks[at] = mutate_bytes(blocks[at], others, rng)
    return blocks


def mutate_text(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter a text by lines and words; numbers become others, of thousands of digits too."""
    if rng.random() < 0.3:
        return mutate_bytes(data, others, rng)
    lines = data.split(b"\n")
    if rng.random() < 0.5:
        lines = mutate_blocks(lines, rng.choice(others).split(b"\n"), rng)
    odd = [
        b"",
        b"\t",
        b" ",
        b"\r",
        b"\x0b",
        b"\xe2\x80\xa8",
        b"\xc2\xb2",
        b"\xd9\xa3",
        b"-1",
        b"0",
        b"1.5",
        b"9" * 5000,
    ]
    odd += [b"\xef\xbb\xbf", b"\xff", b"\0", b"\x1b[2J", b"1_0", b"+1", b"0x1", b"NaN", b"a" * 10_000, b"999999"]
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(lines)) if lines else 0
        words = lines[at].replace(b"\t", b" \t ").split(b" ") if lines else []
        if words:
            words[rng.randrange(len(words))] = rng.choice([*odd, str(rng.choice(INTERESTING)).encode()])
            lines[at] = rng.choice((b" ", b" ", b"\t", b"  ")).join(words)
    return b"\n".join(lines)


# Stand in for what json.dumps cannot write.
PLACEHOLDERS = {
    "DEEP LIST": b"[" * NESTING + b"]" * NESTING,
    "DEEP OPEN": b"[" * NESTING,
    "DEEP OBJECT": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "BEYOND FLOAT": b"1e999",
    "MANY DIGITS": b"9" * 5000,
    "4000 DIGITS": b"9" * 4000,
    "TINY": b"5e-324",
    "NEGATIVE ZERO": b"-0",
    "LONE SURROGATE": b'"\\ud800"',
    "NUL": b'"\\u0000"',
}
ODD_VALUES = [None, True, False, 0, 1, -1, 2, 0.5, 1.5, -0.5, 1e15, 1e38, 3.5e38, 1e300, -1e300, 1e-300, 1e-38]
ODD_VALUES += [float("nan"), float("inf"), -float("inf"), 10**30, 10**400, 2**63, "", "0.5", "x", "é" * 300, "a" * 9999]
ODD_VALUES += ["\x1b[2J\n", "..", "/", [], {}, [[]], [None], [0] * 1000, [[0.5, 0.5]], [[1e-3, 0.9]] * 50, {"a": {}}]


def _paths(value: object, path: tuple = ()) -> list[tuple]:
    """The paths of all values inside a JSON value, as keys and indices."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in _paths(item, (*path, key)))]


def _edit_json(content: object, rng: random.Random) -> object:
    paths = _paths(content)
    path = rng.choice(paths)
    if not path:
        return copy.deepcopy(rng.choice(ODD_VALUES)) if rng.random() < 0.05 else content
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    kind, last = rng.randrange(8), path[-1]
    if kind == 0:
        del parent[last]
    elif kind == 1:
        parent[last] = [parent[last]]
    elif kind == 2 and isinstance(parent, list):
        parent[last:last] = copy.deepcopy(parent[last : last + 3] * rng.choice((1, 1, 20)))
    elif kind == 2:
        parent[rng.choice([str(last).upper(), f" {last}", "", "id", "far", "name"])] = copy.deepcopy(parent[last])
    elif kind == 3:
        parent[last] = rng.choice(list(PLACEHOLDERS))
    elif kind == 4 and isinstance(parent[last], int | float) and abs(parent[last]) < 1e300:
        parent[last] = parent[last] * rng.choice((-1, 0, 0.5, 2, 10, 1e30, 1e-30)) + rng.choice((0, 1, -1))
    else:
        parent[last] = copy.deepcopy(rng.choice(ODD_VALUES))
    return content


def mutate_json(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter the types, numbers, keys, nesting and encoding of a JSON file, or its bytes."""
    if rng.random() < 0.2:
        return mutate_bytes(data, others, rng)
    content = json.loads(data)
    for _ in range(rng.randint(1, 3)):
        if isinstance(content, dict | list) and content:
            content = _edit_json(content, rng)
    out = json.dumps(content, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    for name, text in PLACEHOLDERS.items():
        out = out.replace(b'"' + name.encode() + b'"', text)
    kind = rng.randrange(30)
    if kind == 0:
        return b"\xef\xbb\xbf" + out
    if kind == 1:
        with contextlib.suppress(UnicodeError):
            return out.decode().encode(rng.choice(("utf-16", "utf-32", "utf-16-le", "latin1", "utf-7")))
    if kind == 2:  # the same key twice
        return out.replace(b"{", b"{" + out[1:-1].split(b", ")[0] + b", ", 1)
    return out


def mutate_pickle(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter a pickle opcode by opcode, or its bytes."""
    if rng.random() < 0.4:
        return mutate_bytes(data, others, rng)
    odd = [b"b", b"R", b"0", b"2", b"N", b"(", b"t", b")", b"\x94", b"h\x00", b"q\x00", b"\x86" * 20, b"\x85", b"."]
    odd += [b"j\xff\xff\xff\x0f", b"r\xff\xff\xff\x7f", b"p-1\n", b"g0\n", b"I01\n", b"L" + b"9" * 30 + b"L\n", b"c"]
    odd += [b"K" + rng.randbytes(1), b"J" + rng.randbytes(4), b"\x8a\x08" + rng.randbytes(8), b"B\xff\xff\xff\xff"]
    opcodes = mutate_blocks(_opcodes(data), _opcodes(rng.choice(others)) + odd, rng)
    return b"".join(opcodes)


def _opcodes(data: bytes) -> list[bytes]:
    starts = [position for _, _, position in pickletools.genops(data)]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def mutate_zip(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter one member of a zip archive by its kind, the list of members, the headers, or any bytes."""
    if rng.random() < 0.15 or not data.startswith(b"PK"):
        return mutate_bytes(data, others, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = rng.randrange(len(members))
    name, content = members[at]
    kind = rng.randrange(6)
    if kind == 0:
        del members[at]
    elif kind == 1:
        members.append((rng.choice([name, "../x", "/x", "a" * 300, "assets/x", "é\0"]), content))
    elif kind == 2:
        members[at] = rng.choice([name.upper(), "config.json", "metadata.json", "model.weights.h5"]), content
    else:
        mutate = mutate_json if name.endswith(".json") else mutate_bytes
        members[at] = name, mutate(content, [content], rng)
    method = rng.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")  # about two members of one name
        for name, content in members:
            archive.writestr(name, content)
    return _mutate_zip_headers(out.getvalue(), rng) if rng.random() < 0.4 else out.getvalue()


def _mutate_zip_headers(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        magic, size = rng.choice(((b"PK\x01\x02", 46), (b"PK\x03\x04", 30), (b"PK\x05\x06", 22)))
        places = [at for at in range(len(out) - size) if out[at : at + 4] == magic] if len(out) < 1 << 17 else []
        if places:
            at = rng.choice(places) + rng.randrange(4, size)
            number = interesting_bytes(rng)[:4]
            out[at : at + len(number)] = number
    return bytes(out)
