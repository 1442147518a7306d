"""List, read and write images. In memory they are RGB uint8 (H, W, 3), upright."""

import functools
import io
import re
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from utils.cli import InputError, counted
from utils.files import write_bytes
from utils.media.levels import to_uint8
from utils.media.pipes import read_file
from utils.media.tiffs import bits_per_sample, check_planes, gray_levels, is_tiff, is_white_zero, read_tags
from utils.storage import as_path

if TYPE_CHECKING:
    from PIL import Image

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our errors replace its warnings

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
IMAGE_SUFFIXES += (".pnm", ".jp2", ".avif", ".heic", ".heif")

MAX_PIXELS = 1 << 28  # of an image, more than any phone takes
# What Pillow may take a file for: the formats of IMAGE_SUFFIXES. It knows forty more, of which one, PostScript, is run
# as a program by Ghostscript, whatever the file is called.
PILLOW_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF", "HEIF")
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # the parts that a PNG's pixels depend on
PNG_ORIENTATION = b"eXIf"  # the part that says how a PNG is turned
JPEG_END = re.compile(rb"\xff(?:\xd9|\xd8\xff)")  # of a picture, or the start of the next one
NO_MEMORY = "not enough memory for its pixels"
# For photos and chips: in three quarters of the time of OpenCV's default, and 5 % smaller.
PNG_OPTIONS = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
PNG_OPTIONS += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
READ_FLAGS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
READ_FLAGS |= {8: cv2.IMREAD_REDUCED_COLOR_8}  # by how much the sides shrink


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, recognized by suffix, without hidden ones, sorted by name."""
    return sorted(p for p in as_path(folder).iterdir() if is_image(p) and p.is_file())


def is_image(path: Path) -> bool:
    """Whether a path has an image's suffix and is not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def list_people(folder: Path) -> list[Path]:
    """The person folders of a folder, sorted by name. Stray files, hidden and `__` folders are ignored.

    Raises InputError if the folder is missing or has no person folders.
    """
    folder = as_path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    people = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    if not people:
        loose = len(list_images(folder))
        hint = f"; move its {counted(loose, 'image')} to {folder / 'NAME'}" if loose else ""
        raise InputError(f"{folder} has no person folders: expected one folder of images per person{hint}")
    return people


def read_image(path: Path) -> np.ndarray:
    """Read an image file as upright RGB uint8 (H, W, 3). Raises InputError if it cannot be decoded."""
    try:
        return decode_image(read_file(path))
    except ValueError as exc:
        raise exc if isinstance(exc, InputError) else InputError(f"{path}: {exc}") from None
    except MemoryError:
        raise InputError(f"{path}: {NO_MEMORY}") from None


def decode_image(data: bytes, shrink: int = 1) -> np.ndarray:
    """Decode an image file's bytes to RGB uint8 (H, W, 3).

    EXIF rotation is applied where it is readable, transparency becomes white, more than 8 bits become 8: see
    utils.media.levels. shrink: 1, 2, 4 or 8, by which the sides of a JPEG that `jpeg_size` can read are divided,
    rounded up; other images keep their size. Raises ValueError if the image cannot be decoded, and MemoryError.
    """
    if not data:
        raise ValueError("the file is empty")
    try:
        is_jpeg = jpeg_size(data) is not None
        # OpenCV is faster. Pillow reads what OpenCV gets wrong: CMYK, transparency, HEIC and the rest.
        if is_jpeg or _is_plain_png(data):
            # OpenCV's decoder writes about notes that it does not like to stderr.
            bare = data if is_jpeg else _bare_png(data, PNG_ORIENTATION)
            image = _decode_with_opencv(bare, READ_FLAGS[shrink if is_jpeg else 1])
            if image is not None:
                return image
        return _decode_with_pillow(data)
    except MemoryError:
        raise MemoryError(NO_MEMORY) from None  # Python's own has no text


def _decode_with_opencv(data: bytes, flags: int) -> np.ndarray | None:
    """Decode to RGB uint8 (H, W, 3), None if OpenCV cannot. It may fail on EXIF that nobody needs."""
    if _is_animated_png(data):
        return None
    try:
        levels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as exc:
        if exc.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        return None
    if levels is None:
        return None
    if levels.dtype == np.uint8 and levels.ndim == 3:
        return cv2.cvtColor(levels, cv2.COLOR_BGR2RGB)
    levels = np.atleast_3d(levels)
    return np.ascontiguousarray(to_uint8(levels[..., 2::-1] if levels.shape[2] > 2 else levels[..., [0, 0, 0]]))


def _is_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG") and data[12:16] == b"IHDR" and len(data) > 26


def _is_plain_png(data: bytes) -> bool:
    """Whether this is a complete gray or RGB PNG of 8 bits without alpha. Raises ValueError for too many pixels."""
    if not _is_png(data) or _is_animated_png(data):
        return False
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    _check_size(width, height)
    if not width * height or data[24] > 8 or data[25] not in (0, 2) or b"IEND" not in data[-64:]:
        return False
    return all(is_whole and kind != b"tRNS" for kind, _, is_whole in _png_chunks(data))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the chunks of a PNG: kind, the whole chunk, and whether its checksum fits."""
    position = 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        chunk = data[position:end]
        checksum = int.from_bytes(chunk[-4:], "big")
        yield chunk[4:8], chunk, end <= len(data) and zlib.crc32(memoryview(chunk)[4:-4]) == checksum
        if chunk[4:8] == b"IEND":
            return
        position = end


def _bare_png(data: bytes, *more: bytes) -> bytes:
    """A PNG without all that its pixels do not depend on, such as notes that are damaged or too long for Pillow.

    more: kinds of chunks that are kept, too.
    """
    return data[:8] + b"".join(chunk for kind, chunk, _ in _png_chunks(data) if kind in PNG_PIXELS + more)


def _is_animated_png(data: bytes) -> bool:
    """Whether this may be an animated PNG. In damaged ones OpenCV 5.0 reads a closed file: it crashes, or hangs."""
    return _is_png(data) and any(chunk in data for chunk in (b"acTL", b"fcTL", b"fdAT"))


class _TooLargeError(ValueError):
    """An image has more pixels than are read."""


def _check_size(width: int, height: int) -> None:
    # A PNG of a few hundred kB can decode to gigabytes.
    if width * height > MAX_PIXELS:
        raise _TooLargeError(f"{width}×{height} pixels are too many: at most {MAX_PIXELS:,} are read")


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a gray or color JPEG as stored, before EXIF rotation; None for anything else.

    Raises ValueError for a truncated file, which OpenCV would silently pad with gray.
    """
    position, size_wh, components = 2, None, None
    while data.startswith(b"\xff\xd8") and position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and position + 9 < len(data):
            components = data[position + 9]
            height, width = (int.from_bytes(data[position + at : position + at + 2], "big") for at in (5, 7))
            _check_size(width, height)
            size_wh = width, height
        if marker == 0xDA:  # start of scan: compressed data cannot contain the end marker
            end = JPEG_END.search(data, position)
            if not end or end[0] != b"\xff\xd9":  # or another picture follows, such as a preview
                raise ValueError("the JPEG is truncated")
            return size_wh if components in (1, 3) else None  # CMYK is for Pillow
        position += 2 + length
    return None


@functools.cache
def _set_up_pillow() -> None:
    from PIL import Image
    from pillow_heif import register_heif_opener

    register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # `_check_size` sets the limit: Pillow's own is below a phone's 200 megapixels
    warnings.filterwarnings("ignore", module="PIL")  # about EXIF that nobody needs


def _decode_with_pillow(data: bytes) -> np.ndarray:
    try:
        return _decode_whole_with_pillow(data)
    except _TooLargeError:
        raise
    except ValueError:
        if not _is_png(data) or (bare := _bare_png(data)) == data:
            raise
    return _decode_whole_with_pillow(bare)


def _decode_whole_with_pillow(data: bytes) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    _set_up_pillow()
    try:
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
            _check_size(*image.size)
            tags = image.tag_v2 if image.format == "TIFF" else {}
            check_planes(tags)
            wide = _decode_wide_colors(data, image)
            if wide is None:
                image.load()
                image = _upright(image)
    except (UnidentifiedImageError, SyntaxError):  # Pillow raises SyntaxError for headers that it does not know
        wide = _decode_unknown(data)
    except MemoryError:
        raise
    except Exception as exc:  # Pillow's readers raise many kinds of error on damaged files
        raise ValueError(str(exc) if isinstance(exc, _TooLargeError) else f"cannot be decoded: {exc}") from None
    if wide is not None:
        return wide
    levels = gray_levels(image, tags)
    if levels is not None:
        return np.repeat(levels[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getextrema()[3][
            1
        ]:  # some programs write pictures that are transparent everywhere, and are not meant so
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB")).copy()


def _upright(image: "Image.Image") -> "Image.Image":
    """Turn an image as its EXIF says. EXIF is optional: where it is damaged, the image stays as it is stored."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # Pillow's EXIF reader raises many kinds of error
        return image


def _decode_wide_colors(data: bytes, image: "Image.Image") -> np.ndarray | None:
    """Decode colors of more than 8 bits, of which Pillow keeps the upper 8: all black if only 12 of 16 are used.

    Returns None for images that are not of this kind.
    """
    bits = {
        "TIFF": lambda: bits_per_sample(image.tag_v2),
        "PNG": lambda: data[24],
        # The arguments of Pillow's decoder end in the brightest level, unless that is 255.
        "PPM": lambda: max(arg for arg in (255, *image.tile[0].args) if isinstance(arg, int)).bit_length(),
        "JPEG2000": lambda: 16,
    }
    if not image.mode.startswith("RGB") or bits.get(image.format, lambda: 8)() <= 8:
        return None
    image.load()  # OpenCV would pad a truncated file
    rgb = _decode_any_depth(data)
    if rgb is None or "A" not in image.mode:
        return rgb
    alpha = np.asarray(_upright(image).getchannel("A"), np.float32)[..., None] / 255
    if alpha.shape[:2] != rgb.shape[:2]:
        return rgb
    return (rgb * alpha + 255 * (1 - alpha)).round().astype(np.uint8)


def _decode_unknown(data: bytes) -> np.ndarray:
    """Decode with OpenCV a TIFF that Pillow does not know, such as one of real numbers. Raises ValueError."""
    from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH

    image = None
    if is_tiff(data):
        tags = read_tags(data)
        _check_size(tags[IMAGEWIDTH], tags[IMAGELENGTH])
        check_planes(tags)
        image = _decode_any_depth(data)
    if image is None:
        raise ValueError("cannot be decoded: not an image, or an unknown format")
    return 255 - image if is_white_zero(tags) else image


def _decode_any_depth(data: bytes) -> np.ndarray | None:
    image = _decode_with_opencv(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    # OpenCV refuses to make three channels of a gray TIFF in double precision.
    return _decode_with_opencv(data, cv2.IMREAD_UNCHANGED) if image is None else image


def png_name(photo_name: str) -> str:
    """The name of the PNG made from a photo. It includes the photo's suffix: a.jpg and a.png are two photos."""
    path = Path(photo_name)
    return f"{path.stem}_{path.suffix[1:]}.png"


def write_image(path: Path, image: np.ndarray, private: bool = False) -> None:
    """Write an RGB uint8 image (H, W, 3) atomically; the suffix chooses the format.

    private: only the owner may read it, see `utils.files.atomic_path`.
    """
    options = PNG_OPTIONS if path.suffix.lower() == ".png" else []
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise InputError(f"{path} cannot be written as {path.suffix}")
    write_bytes(path, data.tobytes(), private)


def encode_png(image: np.ndarray) -> bytes:
    """An RGB uint8 image (H, W, 3) as a PNG file's bytes."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), PNG_OPTIONS)[1].tobytes()


def resize_chip(image: np.ndarray, size: int) -> np.ndarray:
    """Resize an RGB uint8 image to (size, size, 3), by averaging to shrink and bilinearly to enlarge."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
