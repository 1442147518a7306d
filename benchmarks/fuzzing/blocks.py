"""Alter images and videos along their chunks, segments or boxes.

The formats are split at their lengths, altered, and put together with lengths and checksums that fit.
"""

import random
import struct
import zlib

from fuzzing.mutations import mutate_blocks, mutate_bytes


def _png_blocks(data: bytes) -> list[bytes]:
    blocks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        blocks.append(data[at + 4 : at + 8 + size])  # kind and content
        at += 12 + size
    return blocks


def _join_png(blocks: list[bytes]) -> bytes:
    parts = [struct.pack(">I", max(len(b) - 4, 0)) + b + struct.pack(">I", zlib.crc32(b)) for b in blocks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _jpeg_blocks(data: bytes) -> list[bytes]:
    blocks, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        blocks.append(data[at + 1 : at + 2] + data[at + 4 : at + 2 + size])  # marker and content
        at += 2 + size
    return [*blocks, data[at:]]  # the last one is the scan with its own header


def _join_jpeg(blocks: list[bytes]) -> bytes:
    parts = [b"\xff" + b[:1] + struct.pack(">H", min(len(b) + 1, 65535)) + b[1:] for b in blocks[:-1]]
    return b"\xff\xd8" + b"".join(parts) + (blocks[-1] if blocks else b"")


def _box_blocks(data: bytes) -> list[bytes]:
    blocks, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big") or len(data)
        size = size if size >= 8 else len(data)
        blocks.append(data[at + 4 : at + size])
        at += size
    return blocks


def _join_boxes(blocks: list[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(b) + 4) + b for b in blocks)


def _riff_blocks(data: bytes) -> list[bytes]:
    blocks, at = [data[8:12]], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        blocks.append(data[at : at + 4] + data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return blocks


def _join_riff(blocks: list[bytes]) -> bytes:
    parts = [b[:4] + struct.pack("<I", max(len(b) - 4, 0)) + b[4:] + b"\0" * (len(b) % 2) for b in blocks[1:]]
    body = b"".join([*blocks[:1], *parts])
    return b"RIFF" + struct.pack("<I", len(body)) + body


def mutate_media(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter an image or a video along its chunks, segments or boxes, or its bytes, mostly those of the header."""
    if rng.random() < 0.5:
        return mutate_bytes(data, others, rng, within=rng.choice((None, 64, 512)))
    if data.startswith(b"\x89PNG"):
        split, join = _png_blocks, _join_png
    elif data.startswith(b"\xff\xd8"):
        split, join = _jpeg_blocks, _join_jpeg
    elif data.startswith(b"RIFF"):
        split, join = _riff_blocks, _join_riff
    elif data[4:8] in (b"ftyp", b"jP  "):
        return _mutate_boxes(data, rng)
    else:
        return mutate_bytes(data, others, rng, within=256)
    return join(mutate_blocks(split(data), [b for b in split(data) if len(b) < 4096] or [b"abcd"], rng))


def _mutate_boxes(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """Alter boxes of MP4, HEIC or AVIF, or those inside one of them."""
    blocks = _box_blocks(data)
    inner = [
        i
        for i, b in enumerate(blocks)
        if b[:4] in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"meta", b"iprp", b"ipco", b"jp2h", b"moof", b"traf")
    ]
    if inner and depth < 6 and rng.random() < 0.8:
        at = rng.choice(inner)
        head = 8 if blocks[at][:4] == b"meta" else 4  # a version comes before its boxes
        blocks[at] = blocks[at][:head] + _mutate_boxes(blocks[at][head:], rng, depth + 1)
        return _join_boxes(blocks)
    return _join_boxes(mutate_blocks(blocks, [b for b in blocks if len(b) < 4096] or [b"free"], rng))
