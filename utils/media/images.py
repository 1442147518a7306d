"""Reading, writing and listing images. In memory they are RGB uint8 (H, W, 3), upright."""

import io
from pathlib import Path

import cv2
import numpy as np

from utils.cli import InputError
from utils.files import write_bytes

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
IMAGE_SUFFIXES += (".pnm", ".jp2", ".avif", ".heic", ".heif")

MAX_PIXELS = 1 << 28  # more than any phone takes
REDUCTIONS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
REDUCTIONS |= {8: cv2.IMREAD_REDUCED_COLOR_8}


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder by their suffix, sorted by name; hidden ones are left out."""
    return sorted(p for p in Path(folder).iterdir() if is_image(p) and p.is_file())


def is_image(path: Path) -> bool:
    """Whether a path is named like an image and is not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def list_people(folder: Path) -> list[Path]:
    """The person folders of a folder, sorted by name: stray files, hidden and archive folders are ignored.

    Raises InputError when the folder is missing or has none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    people = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    if not people:
        loose = len(list_images(folder))
        hint = f"; {loose} images lie in it directly: put them into {folder / 'NAME'}" if loose else ""
        raise InputError(f"{folder} has no person folders: expected one folder a person, with images in it{hint}")
    return people


def read_image(path: Path) -> np.ndarray:
    """Read an image file as upright RGB uint8 (H, W, 3). Raises InputError when it cannot be decoded."""
    try:
        return decode_image(Path(path).read_bytes())
    except ValueError as exc:
        raise InputError(f"{path}: {exc}") from None


def decode_image(data: bytes, shrink: int = 1) -> np.ndarray:
    """Decode an image file's bytes to RGB uint8 (H, W, 3).

    EXIF rotation is applied, transparency is laid on white, 16 bits become 8. shrink: 1, 2, 4 or 8, by
    which the sides of what `jpeg_size` knows are divided, rounded up: a JPEG holds its lower resolutions.
    Raises ValueError.
    """
    if not data:
        raise ValueError("the file is empty")
    is_jpeg = jpeg_size(data) is not None
    # OpenCV is the faster reader; Pillow takes what OpenCV gets wrong: CMYK, transparency, HEIC, the rest.
    if is_jpeg or _is_plain_png(data):
        try:
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), REDUCTIONS[shrink if is_jpeg else 1])
        except cv2.error as exc:
            raise ValueError(f"cannot be decoded: {exc.err}") from None
        if bgr is None:
            raise ValueError("cannot be decoded: damaged or truncated")
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return _decode_with_pillow(data)


def _is_plain_png(data: bytes) -> bool:
    """Whether these are a whole gray or RGB PNG without alpha. Raises ValueError for an absurd size."""
    if not data.startswith(b"\x89PNG") or len(data) <= 26:
        return False
    _check_size(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
    return data[25] in (0, 2) and b"IEND" in data[-64:]


def _check_size(width: int, height: int) -> None:
    # A few hundred kB of PNG can ask for gigabytes; Pillow has a limit like this of its own.
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}×{height} pixels are too many: {MAX_PIXELS:,} at most")


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a gray or color JPEG as stored, before EXIF turns it; None for anything else.

    Raises ValueError for a truncated file, which OpenCV would pad with gray without a word.
    """
    position, size_wh, components = 2, None, None
    while data.startswith(b"\xff\xd8") and position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and position + 9 < len(data):
            components = data[position + 9]
            height, width = (int.from_bytes(data[position + at : position + at + 2], "big") for at in (5, 7))
            _check_size(width, height)
            size_wh = width, height
        if marker == 0xDA:  # the scan: compressed data cannot hold the end marker by chance
            if data.find(b"\xff\xd9", position) < 0:
                raise ValueError("the JPEG is truncated")
            return size_wh if components in (1, 3) else None  # CMYK is Pillow's
        position += 2 + length
    return None


def _decode_with_pillow(data: bytes) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError
    from pillow_heif import register_heif_opener

    register_heif_opener()
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise ValueError("cannot be decoded: not an image, or of an unknown kind") from None
    except Exception as exc:  # Pillow's readers raise whatever their format makes them stumble on
        raise ValueError(f"cannot be decoded: {exc}") from None
    if image.mode.startswith(("I", "F")):
        gray = np.asarray(image, np.float64)
        # 16-bit grays arrive as wider numbers; 8-bit ones in a wide format stay as they are.
        gray = np.clip(gray / 257 if gray.max(initial=0) > 255 else gray, 0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return np.asarray(image.convert("RGB")).copy()


def png_name(photo_name: str) -> str:
    """The PNG that is made from a photo. Its suffix stays in the name: a.jpg and a.png may be two photos."""
    path = Path(photo_name)
    return f"{path.stem}_{path.suffix[1:]}.png"


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB uint8 image (H, W, 3) atomically; the suffix chooses the format."""
    path = Path(path)
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise InputError(f"{path} cannot be written as {path.suffix}")
    write_bytes(path, data.tobytes())


def resize_chip(image: np.ndarray, size: int) -> np.ndarray:
    """Bring an RGB uint8 image to (size, size, 3): averaging where it shrinks, bilinear where it grows."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
