"""TIFFs whose tags say how their levels are meant."""

import struct

import numpy as np
import pytest

from utils.media.images import decode_image


def tiff(levels: np.ndarray, photometric: int, sample_format: int = 1, planes: int = 1) -> bytes:
    """A TIFF of gray levels (H, W) or RGB (H, W, 3) of any type, as few programs write it."""
    height, width, channels = (*levels.shape, 1)[:3]
    data = (np.moveaxis(levels, -1, 0) if planes == 2 else levels).tobytes()
    parts = channels if planes == 2 else 1
    behind = 8 + len(data)  # where lists of several values are
    sizes = {258: [8 * levels.itemsize] * channels, 339: [sample_format] * channels}
    lists = b"".join(struct.pack(f"<{channels}H", *values) for values in sizes.values())
    offsets = [8 + number * (len(data) // parts) for number in range(parts)]
    lists += struct.pack(f"<{2 * parts}I", *offsets, *[len(data) // parts] * parts)
    at = iter([behind, behind + 2 * channels, behind + 4 * channels, behind + 4 * channels + 4 * parts])
    tags = {256: (4, 1, width), 257: (4, 1, height), 259: (3, 1, 1), 262: (3, 1, photometric), 277: (3, 1, channels)}
    tags |= {278: (4, 1, height), 284: (3, 1, planes)}
    for number, count, kind, value in (
        (258, channels, 3, 8 * levels.itemsize),
        (339, channels, 3, sample_format),
        (273, parts, 4, offsets[0]),
        (279, parts, 4, len(data)),
    ):
        place = next(at)
        tags[number] = (kind, count, place if count > 1 else value)
    entries = b"".join(struct.pack("<HHII", number, *tags[number]) for number in sorted(tags))
    return (
        b"II*\0"
        + struct.pack("<I", behind + len(lists))
        + data
        + lists
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


GRAY = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    ("levels", "photometric", "sample_format"),
    [
        (255 - GRAY, 0, 1),  # white is 0
        ((255 - GRAY).astype(np.uint16) * 257, 0, 1),
        ((255 - GRAY).astype(np.uint16) * 16, 0, 1),
        (((255 - GRAY) / 255).astype(np.float32), 0, 3),
        ((255 - GRAY) / 255, 0, 3),  # which Pillow does not know
        (GRAY.astype(np.uint32) * 16_843_009, 1, 1),  # beyond Pillow's signed 32 bits
        ((GRAY.astype(np.int16) - 128).astype(np.int8), 1, 2),
        (GRAY.astype(np.int16) * 128, 1, 2),
    ],
)
def test_gray_levels_are_as_the_tags_say(levels, photometric, sample_format):
    decoded = decode_image(tiff(levels, photometric, sample_format))
    assert np.abs(decoded.astype(int) - GRAY[..., None]).max() <= 2


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.float64])
def test_colors_that_are_stored_apart_are_read_or_named(kind):
    picture = np.dstack([GRAY, GRAY.T, 255 - GRAY])
    np.testing.assert_array_equal(decode_image(tiff(picture, 2, planes=2)), picture)
    with pytest.raises(ValueError, match="stored apart"):
        decode_image(tiff(picture.astype(kind), 2, 1 if kind == np.uint16 else 3, planes=2))
