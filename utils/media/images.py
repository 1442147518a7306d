"""List, read and write images. In memory they are RGB uint8 (H, W, 3), upright."""

import io
from pathlib import Path

import cv2
import numpy as np

from utils.cli import InputError, counted
from utils.files import write_bytes

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
IMAGE_SUFFIXES += (".pnm", ".jp2", ".avif", ".heic", ".heif")

MAX_PIXELS = 1 << 28  # of an image, more than any phone takes
READ_FLAGS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
READ_FLAGS |= {8: cv2.IMREAD_REDUCED_COLOR_8}  # by how much the sides shrink


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, recognized by suffix, without hidden ones, sorted by name."""
    return sorted(p for p in Path(folder).iterdir() if is_image(p) and p.is_file())


def is_image(path: Path) -> bool:
    """Whether a path has an image's suffix and is not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def list_people(folder: Path) -> list[Path]:
    """The person folders of a folder, sorted by name. Stray files, hidden and `__` folders are ignored.

    Raises InputError if the folder is missing or has no person folders.
    """
    folder = Path(folder)
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
        return decode_image(Path(path).read_bytes())
    except ValueError as exc:
        raise InputError(f"{path}: {exc}") from None


def decode_image(data: bytes, shrink: int = 1) -> np.ndarray:
    """Decode an image file's bytes to RGB uint8 (H, W, 3).

    EXIF rotation is applied, transparency becomes white, 16 bits become 8. shrink: 1, 2, 4 or 8, by which the
    sides of a JPEG that `jpeg_size` can read are divided, rounded up; other images keep their size. Raises
    ValueError if the image cannot be decoded.
    """
    if not data:
        raise ValueError("the file is empty")
    is_jpeg = jpeg_size(data) is not None
    # OpenCV is faster. Pillow reads what OpenCV gets wrong: CMYK, transparency, HEIC and the rest.
    if is_jpeg or _is_plain_png(data):
        try:
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), READ_FLAGS[shrink if is_jpeg else 1])
        except cv2.error as exc:
            raise ValueError(f"cannot be decoded: {exc.err}") from None
        if bgr is None:
            raise ValueError("cannot be decoded: damaged or truncated")
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return _decode_with_pillow(data)


def _is_plain_png(data: bytes) -> bool:
    """Whether this is a complete gray or RGB PNG without alpha. Raises ValueError if it has too many pixels."""
    if not data.startswith(b"\x89PNG") or len(data) <= 26:
        return False
    _check_size(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
    return data[25] in (0, 2) and b"IEND" in data[-64:]


def _check_size(width: int, height: int) -> None:
    # A PNG of a few hundred kB can decode to gigabytes. Pillow has its own limit of this kind.
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}×{height} pixels are too many: at most {MAX_PIXELS:,} are read")


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
            if data.find(b"\xff\xd9", position) < 0:
                raise ValueError("the JPEG is truncated")
            return size_wh if components in (1, 3) else None  # CMYK is for Pillow
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
        raise ValueError("cannot be decoded: not an image, or an unknown format") from None
    except Exception as exc:  # Pillow's readers raise many kinds of error on damaged files
        raise ValueError(f"cannot be decoded: {exc}") from None
    if image.mode.startswith(("I", "F")):
        gray = np.asarray(image, np.float64)
        # Values above 255 are 16-bit gray levels; others are 8-bit levels in a wider type.
        gray = np.clip(gray / 257 if gray.max(initial=0) > 255 else gray, 0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB")).copy()


def png_name(photo_name: str) -> str:
    """The name of the PNG made from a photo. It includes the photo's suffix: a.jpg and a.png are two photos."""
    path = Path(photo_name)
    return f"{path.stem}_{path.suffix[1:]}.png"


def write_image(path: Path, image: np.ndarray, private: bool = False) -> None:
    """Write an RGB uint8 image (H, W, 3) atomically; the suffix chooses the format.

    private: only the owner may read it, see `utils.files.atomic_path`.
    """
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise InputError(f"{path} cannot be written as {path.suffix}")
    write_bytes(path, data.tobytes(), private)


def resize_chip(image: np.ndarray, size: int) -> np.ndarray:
    """Resize an RGB uint8 image to (size, size, 3), by averaging to shrink and bilinearly to enlarge."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
