"""What a TIFF's tags say about its levels: neither Pillow nor OpenCV heeds all of them."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.media.levels import to_uint8

if TYPE_CHECKING:
    from PIL import Image

Tags = Mapping[int, Any]  # a tag's number → its value

BITS_PER_SAMPLE, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339  # the numbers of tags
WHITE_IS_ZERO = 0  # of PHOTOMETRIC: as scanners and fax machines write
SEPARATE = 2  # of PLANES: all the red, then all the green, then all the blue
SIGNED = 2  # of SAMPLE_FORMAT
BIG_TIFF = 43  # the version of TIFFs whose header has 16 bytes instead of 8


def is_tiff(data: bytes) -> bool:
    """Whether a file begins as a TIFF does."""
    from PIL.TiffImagePlugin import PREFIXES

    return data.startswith(tuple(PREFIXES))


def read_tags(data: bytes) -> Tags:
    """The tags of a TIFF's first image. Raises ValueError."""
    from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, ImageFileDirectory_v2

    try:
        tags = ImageFileDirectory_v2(data[: 16 if BIG_TIFF in data[2:4] else 8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        tags[IMAGEWIDTH], tags[IMAGELENGTH]  # every image has a size
        return tags
    except Exception:  # Pillow's readers raise many kinds of error on damaged files
        raise ValueError("cannot be decoded: a damaged TIFF") from None


def bits_per_sample(tags: Tags) -> int:
    """The bits of the widest channel."""
    return max(tags.get(BITS_PER_SAMPLE, (8,)))


def check_planes(tags: Tags) -> None:
    """Raise ValueError for channels of more than 8 bits that are stored apart: OpenCV gives a mixture of them."""
    if tags.get(PLANES) == SEPARATE and bits_per_sample(tags) > 8:
        raise ValueError("its colors are stored apart, in more than 8 bits: save it with interleaved colors")


def is_white_zero(tags: Tags) -> bool:
    """Whether the lowest level is white."""
    return tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def gray_levels(image: "Image.Image", tags: Tags) -> np.ndarray | None:
    """The levels, uint8 (H, W), of a gray image of more than 8 bits, or of signed ones. None for other images.

    tags: empty if it is no TIFF. Pillow inverts images of up to 8 bits where the lowest level is white.
    """
    is_signed = SIGNED in tags.get(SAMPLE_FORMAT, ())
    if not image.mode.startswith(("I", "F")) and not is_signed:
        return None
    levels = np.asarray(image)
    if levels.dtype == np.uint8:
        return to_uint8(levels.view(np.int8))
    if levels.dtype == np.int32 and not is_signed:  # Pillow has no unsigned type of 32 bits
        levels = levels.view(np.uint32)
    return 255 - to_uint8(levels) if is_white_zero(tags) else to_uint8(levels)
