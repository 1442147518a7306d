"""Bad and odd files of every kind that users and attackers have: photos, videos, models, features, pairs, names."""

import io
import os
import pickle
import socket
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from hostile_pickles import Hostile
from PIL import Image
from pillow_heif import register_heif_opener

from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie

GOOD = "good.png"  # the good photo among the bad ones
SIDE = 200  # pixels of the drawn photo: its face has about half, and a search is quick


def shell_pickle(marker: Path, protocol: int = 2) -> bytes:
    """A pickle that makes a file if it is loaded carelessly."""
    return pickle.dumps(Hostile(os.system, f"touch '{marker}'"), protocol)


def good_photo(person: int = 101, side: int = SIDE) -> np.ndarray:
    """A drawn person, RGB uint8 (side, side, 3)."""
    photo = draw_selfie(sample_identity(person), np.random.default_rng(person))
    return cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)


def encode(image: Image.Image | np.ndarray, file_format: str, **options: object) -> bytes:
    """A picture as a file, written by Pillow."""
    register_heif_opener()
    stream = io.BytesIO()
    (image.copy() if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, file_format, **options)
    return stream.getvalue()


def encode_levels(levels: np.ndarray, suffix: str = ".tiff") -> bytes:
    """Gray levels, RGB or RGBA of any type as a file, written by OpenCV."""
    channels = [2, 1, 0, 3][: levels.shape[2]] if levels.ndim == 3 else None
    done, data = cv2.imencode(suffix, levels if channels is None else np.ascontiguousarray(levels[..., channels]))
    assert done
    return data.tobytes()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_png_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG file with more chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def empty_png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A gray PNG that declares any size and holds any data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def interlaced_png(picture: np.ndarray) -> bytes:
    """The picture as a PNG in Adam7's seven passes, which neither Pillow nor OpenCV writes."""
    height, width = picture.shape[:2]
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    parts = [picture[top::high, left::wide] for left, top, wide, high in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def with_segment(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """A JPEG file with one more segment behind its start."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + jpeg[2:]


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG file whose header declares another size."""
    at = next(jpeg.index(bytes([0xFF, kind])) for kind in (0xC0, 0xC2) if bytes([0xFF, kind]) in jpeg)
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def ycck_jpeg(picture: np.ndarray) -> bytes:
    """A JPEG of four channels as Photoshop writes it: the inverted colors as YCC, and a key."""
    ycc = np.asarray(Image.fromarray(255 - picture).convert("YCbCr"))
    inverted = np.dstack([255 - ycc, np.zeros(picture.shape[:2], np.uint8)])  # Pillow inverts what it writes
    data = bytearray(encode(Image.fromarray(inverted, "CMYK"), "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2  # YCCK
    return bytes(data)


def exif_orientation(value: object) -> bytes:
    """EXIF with an orientation, of 16 bits or of text."""
    if isinstance(value, int):
        entry = struct.pack("<HHIHH", 0x0112, 3, 1, value, 0)
    else:
        entry = struct.pack("<HHI4s", 0x0112, 2, 4, str(value).encode())
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"


def turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """The picture as a camera stores it with an EXIF orientation."""
    ways = {
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, 1),
        7: np.rot90(picture, 2).transpose(1, 0, 2),
        8: np.rot90(picture, -1),
    }
    return np.ascontiguousarray(ways.get(orientation, picture))


GARBAGE_EXIF = (
    b"garbage" * 9,
    b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40,
    b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\xff\xff\xff\xff\xff\xff",
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",  # points to itself
)


def odd_photos(picture: np.ndarray) -> dict[str, bytes]:
    """Files of the picture, RGB uint8 (H, W, 3), in every dress that phones and programs give it: all are good."""
    image, gray = Image.fromarray(picture), cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    plain, smooth = encode(image, "JPEG", quality=95), encode(image, "PNG")
    alpha = np.full(gray.shape, 255, np.uint8)
    rgba = encode(Image.fromarray(np.dstack([picture, alpha])), "PNG")

    def several(file_format: str, first: Image.Image = image, **options: object) -> bytes:
        others = [Image.fromarray(np.full_like(picture, level)) for level in (90, 200)]
        return encode(first, file_format, save_all=True, append_images=others, **options)

    photos = {
        "plain.jpg": plain,
        "UPPER.JPG": plain,
        "progressive.jpg": encode(image, "JPEG", quality=95, progressive=True),
        "gray.jpg": encode(image.convert("L"), "JPEG", quality=95),
        "cmyk.jpg": encode(image.convert("CMYK"), "JPEG", quality=95),
        "ycck.jpg": ycck_jpeg(picture),
        "clip behind it.jpg": plain + b"\xff\xda\0\0\0\x18ftypmp42" * 500,
        "two pictures.jpg": several("MPO", quality=95),
        "garbage XMP.jpg": with_segment(plain, 0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><&\xff\0" * 20),
        "garbage ICC.jpg": encode(image, "JPEG", quality=95, icc_profile=b"garbage" * 100),
        "garbage ICC.webp": encode(image, "WEBP", lossless=True, icc_profile=b"garbage" * 100),
        "garbage ICC.png": with_png_chunks(rgba, png_chunk(b"iCCP", b"x\0\0garbage")),
        "huge ICC.png": with_png_chunks(rgba, png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(5_000_000)))),
        "huge text.png": with_png_chunks(rgba, png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(5_000_000)))),
        "much text.png": with_png_chunks(rgba, *[png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1_000_000)))] * 99),
        "garbage text.png": with_png_chunks(rgba, png_chunk(b"iTXt", b"\xff\0\1\1\xff\0\xff\0garbage")),
        "huge XMP.png": with_png_chunks(
            rgba, png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * 5_000_000))
        ),
        "rgba.png": rgba,
        "gray and alpha.png": encode(Image.fromarray(np.dstack([gray, alpha])), "PNG"),
        "palette.png": encode(image.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        "interlaced.png": interlaced_png(picture),
        "16 bits.png": encode_levels(picture.astype(np.uint16) * 257, ".png"),
        "12 bits in 16.png": encode_levels(picture.astype(np.uint16) * 16, ".png"),
        "12 bits in 16.tiff": encode_levels(picture.astype(np.uint16) * 16),
        "16 bits gray.tif": encode_levels(gray.astype(np.uint16) * 257),
        "real numbers.tiff": encode_levels((picture / 255).astype(np.float32)),
        "double precision.tiff": encode_levels(picture / 255),
        "some not finite.tiff": encode_levels(_spoiled(gray.astype(np.float32), np.nan, np.inf, -np.inf)),
        "negative.tiff": encode_levels(gray.astype(np.float32) - 128),
        "lzw.tiff": encode(image, "TIFF", compression="tiff_lzw"),
        "jpeg.tiff": encode(image, "TIFF", compression="jpeg"),
        "cmyk.tiff": encode(image.convert("CMYK"), "TIFF"),
        "lab.tiff": encode(_lab(picture), "TIFF"),
        "big.tiff": encode(image, "TIFF", big_tiff=True),
        "pages.tiff": several("TIFF"),
        "animated.gif": several("GIF", image.convert("P", palette=Image.Palette.ADAPTIVE)),
        "animated.webp": several("WEBP", lossless=True),
        "animated.png": several("PNG"),
        "a.bmp": encode(image, "BMP"),
        "a.jp2": encode(image, "JPEG2000"),
        "a stream.jp2": encode(image, "JPEG2000", no_jp2=True),
        "a.avif": encode(image, "AVIF", quality=95),
        "a.heic": encode(image, "HEIF", quality=95),
        "a.ppm": encode(image, "PPM"),
        "a.jfif": plain,
        "heic named.jpg": encode(image, "HEIF", quality=95),
        "webp named.jpeg": encode(image, "WEBP", lossless=True),
        "png named.jpg": smooth,
        "jpg named.png": plain,
        "jpg named.heic": plain,
        "upside down.png": encode(np.ascontiguousarray(picture[::-1, ::-1]), "PNG"),
        "garbage behind it.png": smooth + b"garbage" * 100,
        "bad CRC of a note.png": with_png_chunks(smooth, png_chunk(b"tEXt", b"x\0y")[:-1] + b"\xff"),
    }
    for value in range(10):
        way = turned(picture, value)
        photos[f"exif {value}.jpg"] = encode(way, "JPEG", quality=95, exif=exif_orientation(value))
    for value in (65535, "\xff6"):
        photos[f"exif {value!r}.jpg".replace("\\", "")] = encode(
            picture, "JPEG", quality=95, exif=exif_orientation(value)
        )
    for number, exif in enumerate(GARBAGE_EXIF):
        for file_format in ("JPEG", "PNG", "WEBP", "HEIF", "TIFF") if number else ("JPEG", "WEBP"):
            if file_format != "TIFF":
                options = {} if file_format == "PNG" else {"quality": 95}
                photos[f"garbage exif {number}.{file_format.lower()}"] = encode(
                    image, file_format, exif=exif, **options
                )
    return photos


def _spoiled(levels: np.ndarray, *values: float) -> np.ndarray:
    levels = levels.copy()
    for column, value in enumerate(values):
        levels[:4, column] = value
    return levels


def _lab(picture: np.ndarray) -> Image.Image:
    from PIL import ImageCms

    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return ImageCms.applyTransform(Image.fromarray(picture), lab)


def cut(data: bytes, share: float) -> bytes:
    """The first part of a file."""
    return data[: int(share * len(data))]


def bad_photos(picture: np.ndarray, marker: Path) -> dict[str, bytes]:
    """Files with an image's name that show nobody: each has to be named with a reason.

    marker: a file that is made if one of them runs code.
    """
    image = Image.fromarray(picture)
    plain = encode(image, "JPEG", quality=95)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    png, tiny = encode(noise, "PNG"), encode(Image.fromarray(np.zeros((1, 1, 3), np.uint8)), "PNG")
    wall = np.full((120, 160, 3), 90, np.uint8)
    photos = {
        "empty.jpg": b"",
        "empty.heic": b"",
        "two bytes.jpg": plain[:2],
        "text.jpg": b"just text\n" * 20,
        "page.jpg": b"<!DOCTYPE html><html><body>404 not found</body></html>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "document.jpg": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
        "PostScript.jpg": POSTSCRIPT % os.fsencode(marker),
        "archive.jpg": _zip({"a.txt": b"text"}),
        "program.jpg": b"\x7fELF\x02\x01\x01" + bytes(200),
        "pickle.jpg": shell_pickle(marker),
        "pickle.png": shell_pickle(marker, 0),
        "video.jpg": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(300),
        "settings.png": b'{"a": [1, 2]}',
        "zeros.jpg": bytes(4096),
        "noise.jpg": np.random.default_rng(1).bytes(4096),
        "JPEG and noise.jpg": plain[:20] + np.random.default_rng(2).bytes(4096),
        "no scan.jpg": plain[: plain.index(b"\xff\xda")] + b"\xff\xd9",
        "huge.jpg": with_size(plain, 65535, 65535),
        "no height.jpg": with_size(plain, 200, 0),
        "no width.jpg": with_size(plain, 0, 200),
        "header CRC.png": png[:29] + b"\xff\xff\xff\xff" + png[33:],
        "data CRC.png": _with_wrong_crc(png, b"IDAT"),
        "no data.png": b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)),
        "no size.png": empty_png(0, 0),
        "huge.png": empty_png(2**31 - 1, 2**31 - 1),
        "bomb.png": empty_png(30_000, 30_000, bytes(30_001 * 2_000)),
        "odd depth.png": png[:8] + png_chunk(b"IHDR", png[16:24] + b"\x11" + png[25:29]) + png[33:],
        "huge.gif": b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\1\0\0;",
        "huge.bmp": _bmp(2**31 - 1, 2**31 - 1),
        "negative.bmp": _bmp(-5, -(2**31)),
        "huge.webp": b"RIFF\x20\0\0\0WEBPVP8L\x14\0\0\0\x2f\xff\xff\xff\x01" + bytes(15),
        "huge.ppm": b"P6 99999 99999 255\n" + bytes(300),
        "minus.ppm": b"P6 -5 7 255\n" + bytes(300),
        "huge.tiff": _tiff(2**31 - 1, 2**31 - 1),
        "no size.tiff": _tiff(0, 0),
        "endless.tiff": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "huge.jp2": _with_jp2_size(encode(noise, "JPEG2000", no_jp2=True), 2**31 - 1),
        "garbage.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"garbage" * 50,
        "garbage.avif": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + b"garbage" * 50,
        "icon.jpg": b"\0\0\1\0\1\0\xff\xff\0\0\1\0\x20\0\xff\xff\xff\x7f\x16\0\0\0",
        "1 pixel.png": tiny,
        "1 pixel.gif": b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
        "wide strip.png": encode(Image.fromarray(np.full((3, 20_000, 3), 90, np.uint8)), "PNG"),
        "high strip.png": encode(Image.fromarray(np.full((20_000, 3, 3), 90, np.uint8)), "PNG"),
        "one row.png": encode(Image.fromarray(np.full((1, 5_000), 90, np.uint8)), "PNG"),
        "wall.jpg": encode(wall, "JPEG"),
        "transparent.png": encode(Image.new("RGBA", (90, 90), (0, 0, 0, 0)), "PNG"),
        "black and white.png": encode(Image.new("1", (90, 90)), "PNG"),
        "nothing finite.tiff": encode_levels(np.full((90, 90), np.nan, np.float32)),
        "infinite.tiff": encode_levels(np.full((90, 90, 3), np.inf, np.float64)),
        "face too small.png": encode(cv2.resize(picture, (40, 40), interpolation=cv2.INTER_AREA), "PNG"),
        "two faces.png": encode(np.hstack([picture, good_photo(102, len(picture))]), "PNG"),
    }
    formats = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "gif": "GIF", "bmp": "BMP", "ppm": "PPM"}
    for suffix, file_format in {**formats, "heic": "HEIF", "avif": "AVIF", "jp2": "JPEG2000"}.items():
        whole = encode(noise, file_format)
        for share in (0.1, 0.5, 0.9):
            photos[f"cut at {share:.0%}.{suffix}"] = cut(whole, share)
    photos["cut scan.jpg"] = cut(encode(image, "JPEG", progressive=True), 0.6)
    return photos


POSTSCRIPT = (
    b"%%!PS-Adobe-3.0 EPSF-3.0\n%%%%BoundingBox: 0 0 90 90\n%%%%EndComments\n(%s) (w) file closefile\nshowpage\n"
)


def _zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _with_wrong_crc(png: bytes, kind: bytes) -> bytes:
    at = png.index(kind)
    end = at + 4 + struct.unpack(">I", png[at - 4 : at])[0]
    return png[:end] + b"\xde\xad\xbe\xef" + png[end + 4 :]


def _bmp(width: int, height: int) -> bytes:
    return struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 154, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(
        100
    )


def _tiff(width: int, height: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 90}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(100)


def _with_jp2_size(stream: bytes, side: int) -> bytes:
    at = stream.index(b"\xff\x51") + 6
    return stream[:at] + struct.pack(">II", side, side) + stream[at + 8 :]


# The good picture under names that file systems allow. The bytes are no text in UTF-8 where they are Latin-1.
ODD_NAMES: tuple[bytes, ...] = (
    b"two\nlines.png",
    b"tab\tand\x1b[31mcolor\x07.png",
    "party \U0001f389 写真 \u202e.png".encode(),
    "Jose\u0301 decomposed.png".encode(),
    "Jos\u00e9 composed.png".encode(),
    b"caf\xe9 in Latin-1.png",
    b"-o.png",
    b"--help.png",
    b" spaces on both sides .png",
    b"per%cent %03d {} $HOME `ls` 'quotes\".png",
    b"colon: and \\ backslash.png",
    b"glob*?[a].png",
    b"many.dots..tar.gz.png",
    b"SUFFIX.PnG",
    b"same.png",
    b"same.PNG",
    b"x" * 200 + b".png",
)
LONGEST_NAME = b"y" * 251 + b".png"  # of 255 bytes; no name can be made from it
HIDDEN_NAMES = (b".hidden.png", b"._good.png", b".png")
OTHER_FILES = {
    "notes.txt": b"notes",
    "Thumbs.db": bytes(10),
    "film.mp4": b"film",
    "photo.jpg.part": b"part",
    "README": b"",
}


def write_files(folder: Path, files: dict[str, bytes] | dict[bytes, bytes]) -> None:
    """Write files by name, of text or of bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / os.fsdecode(name)).write_bytes(data)


def write_special_files(folder: Path) -> list[str]:
    """What is no file under an image's name. Returns the names."""
    folder.mkdir(parents=True, exist_ok=True)
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path has at most 107 bytes
        listener.bind("socket.jpg")
        os.chdir(here)
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inside.png").write_bytes(b"x")
    names = ["pipe.jpg", "socket.jpg", "device.jpg", "dangling.jpg", "loop.jpg", "folder.jpg"]
    return names
