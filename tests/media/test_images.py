"""Images as phones and people produce them: every case compares pixels with a known picture."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from bad_inputs import POSTSCRIPT, png_chunk, turned, with_png_chunks
from PIL import Image
from pillow_heif import register_heif_opener

from utils.cli import InputError
from utils.media.images import decode_image, list_images, list_people, png_name, read_image, resize_chip, write_image


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """RGB uint8 (60, 80, 3): a smooth gradient that survives JPEG, with four different corners."""
    y, x = np.mgrid[0:60, 0:80]
    return np.stack([x * 3, y * 4, 255 - x - y], axis=-1).astype(np.uint8)


def encode(image: Image.Image, file_format: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def assert_close(image: np.ndarray, expected: np.ndarray, max_difference: float) -> None:
    assert image.dtype == np.uint8 and image.shape == expected.shape
    assert np.abs(image.astype(int) - expected.astype(int)).mean() < max_difference


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation(picture, orientation, file_format):
    stored = turned(picture, orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    quality = {} if file_format == "PNG" else {"quality": 95}
    data = encode(Image.fromarray(stored), file_format, exif=exif, **quality)
    assert_close(decode_image(data), picture, 4)


def test_transparency_becomes_white(picture):
    alpha = np.full((60, 80, 1), 255, np.uint8)
    alpha[:30] = 0
    decoded = decode_image(encode(Image.fromarray(np.concatenate([picture, alpha], axis=2)), "PNG"))
    assert (decoded[:30] == 255).all()
    np.testing.assert_array_equal(decoded[30:], picture[30:])


def test_gray_and_16_bit(picture):
    gray = picture[:, :, 0]
    expected = np.repeat(gray[:, :, None], 3, axis=2)
    for file_format in ("PNG", "TIFF", "BMP"):
        np.testing.assert_array_equal(decode_image(encode(Image.fromarray(gray), file_format)), expected)
    assert_close(decode_image(encode(Image.fromarray(gray), "JPEG", quality=95)), expected, 2)
    wide = gray.astype(np.uint16) * 257
    for file_format in ("PNG", "TIFF"):
        assert_close(decode_image(encode(Image.fromarray(wide), file_format)), expected, 1.01)
    done, data = cv2.imencode(".png", picture[:, :, ::-1].astype(np.uint16) * 257)
    assert done
    assert_close(decode_image(data.tobytes()), picture, 1.01)


def with_opencv(levels: np.ndarray, suffix: str = ".tiff") -> bytes:
    """Encode gray levels, RGB or RGBA of any type."""
    done, data = cv2.imencode(suffix, levels[..., [2, 1, 0, 3][: levels.shape[2]]] if levels.ndim == 3 else levels)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jp2"])
def test_12_bits_in_a_16_bit_file_fill_the_range(picture, suffix):
    gray = picture[..., 0]
    assert_close(decode_image(with_opencv(gray.astype(np.uint16) * 16, suffix)), np.repeat(gray[..., None], 3, 2), 1.01)
    assert_close(decode_image(with_opencv(picture.astype(np.uint16) * 16, suffix)), picture, 1.01)
    if suffix != ".jp2":
        opaque = np.dstack([picture.astype(np.uint16) * 16, np.full(gray.shape, 65535, np.uint16)])
        assert_close(decode_image(with_opencv(opaque, suffix)), picture, 1.01)


@pytest.mark.parametrize("number", [np.float32, np.float64])
@pytest.mark.parametrize("white", [1, 255, 4095])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_tiffs_of_real_numbers_are_read(picture, number, white):
    levels = (picture * (white / 255)).astype(number)
    assert_close(decode_image(with_opencv(levels)), picture, 1.01)
    assert_close(decode_image(with_opencv(levels[..., 0].copy())), np.repeat(picture[..., :1], 3, 2), 1.01)
    with pytest.raises(ValueError):
        decode_image(with_opencv(levels)[:60])


@pytest.mark.parametrize("white", [255, 1023, 4095, 65535])
def test_all_levels_of_a_ppm_are_read(picture, white):
    levels = (picture.astype(np.uint32) * white // 255).astype(np.uint8 if white == 255 else ">u2")
    data = b"P6\n80 60\n%d\n" % (65535 if white == 4095 else white) + levels.tobytes()  # 12 bits in a 16-bit file
    assert_close(decode_image(data), picture, 1.01)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "BMP"])
def test_pictures_that_are_transparent_everywhere_are_shown(picture, file_format):
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    data = encode(Image.fromarray(np.dstack([picture, np.zeros((60, 80), np.uint8)])), file_format, **options)
    np.testing.assert_array_equal(decode_image(data), picture)


def test_a_png_with_one_transparent_color(picture):
    key = png_chunk(b"tRNS", np.array(picture[0, 0], ">u2").tobytes())
    picture = picture.copy()
    plain = encode(Image.fromarray(picture), "PNG")
    decoded = decode_image(with_png_chunks(plain, key))
    assert (decoded[0, 0] == 255).all()
    np.testing.assert_array_equal(decoded[1:, 1:], picture[1:, 1:])


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "sparse.jpg"
    with open(path, "wb") as file:
        file.truncate(10 << 30)  # takes no space on the disk
    with pytest.raises(InputError, match=r"sparse\.jpg: the file has 10,737,418,240 bytes"):
        read_image(path)


@pytest.mark.fault
@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that cannot be read")
def test_a_disk_that_fails_is_named(tmp_path):
    (tmp_path / "broken.jpg").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error") as info:
        read_image(tmp_path / "broken.jpg")
    assert info.value.filename == str(tmp_path / "broken.jpg")


def test_a_cut_jpeg_with_a_preview_behind_it(picture):
    data = encode(Image.fromarray(picture), "JPEG", quality=95)
    with pytest.raises(ValueError, match="truncated"):
        decode_image(data[: len(data) // 2] + data)
    assert_close(decode_image(data + data), picture, 4)


@pytest.mark.parametrize("chunk", [(b"iCCP", b"x\0\0" + zlib.compress(b"short")), (b"ABCD", b"odd"), (b"gAMA", b"")])
def test_nothing_is_printed_about_the_notes_of_a_png(picture, chunk, capfd):
    data = with_png_chunks(encode(Image.fromarray(picture), "PNG"), png_chunk(*chunk))
    np.testing.assert_array_equal(decode_image(data), picture)
    assert capfd.readouterr() == ("", "")


def test_an_iphones_compiled_png_is_named():
    parts = [(b"CgBI", b"\x50\0\x20\x02"), (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 6, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(bytes(264), wbits=-15)), (b"IEND", b"")]
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode_image(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts))


GARBAGE = (
    b"garbage" * 9,
    b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40,
    b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\xff\xff\xff\xff\xff\xff",
    b"II*\0\x08\0\0\0\x05\0\x12\x01\x02\0\xff\xff\xff\x7f",
)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "HEIF"])
@pytest.mark.parametrize("exif", GARBAGE)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_loses_no_image(picture, file_format, exif):
    register_heif_opener()
    quality = {} if file_format == "PNG" else {"quality": 95}
    assert_close(decode_image(encode(Image.fromarray(picture), file_format, exif=exif, **quality)), picture, 5)


@pytest.mark.fault
def test_a_lack_of_memory_is_named(picture, tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError

    path = tmp_path / "large.webp"
    path.write_bytes(encode(Image.fromarray(picture), "WEBP"))
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(InputError, match=r"large\.webp: not enough memory"):
        read_image(path)


def test_cmyk_palette_and_heic(picture):
    image = Image.fromarray(picture)
    assert_close(decode_image(encode(image.convert("CMYK"), "JPEG", quality=95)), picture, 5)
    assert_close(decode_image(encode(image.convert("P", palette=Image.Palette.ADAPTIVE), "PNG")), picture, 12)
    register_heif_opener()
    assert_close(decode_image(encode(image, "HEIF", quality=90)), picture, 5)


def test_names_with_spaces_and_accents(picture, tmp_path):
    path = tmp_path / "Zoë Ångström" / "photo à côté 写真.png"
    write_image(path, picture)
    np.testing.assert_array_equal(read_image(path), picture)
    assert list_images(path.parent) == [path]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
@pytest.mark.parametrize("kept", [0.1, 0.6, 0.95])
def test_truncated_files_are_refused(file_format, kept):
    register_heif_opener()
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(Image.fromarray(noisy), file_format)
    with pytest.raises(ValueError):
        decode_image(data[: int(kept * len(data))])


def test_a_phones_motion_photo_is_read(picture):
    # The clip appended to the picture may contain any bytes, even those of a scan without an end.
    data = encode(Image.fromarray(picture), "JPEG", quality=95)
    assert_close(decode_image(data + b"\xff\xda" * 500), picture, 4)


@pytest.mark.parametrize("data", [b"", b"just text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"<svg></svg>"])
def test_other_files_are_refused(data, tmp_path):
    path = tmp_path / "no image.jpg"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"no image\.jpg"):
        read_image(path)


@pytest.mark.parametrize("chunk", [b"IHDR", b"IDAT", b"fcTL"])
def test_animated_pngs_never_reach_opencv(picture, chunk, monkeypatch):
    """A chunk out of place, and OpenCV 5.0 reads a file that it has closed: it crashes, or waits for ever."""
    image = Image.fromarray(picture)
    data = encode(image, "PNG", save_all=True, append_images=[image.rotate(180)])
    start = data.index(chunk) - 4
    size = 12 + int.from_bytes(data[start : start + 4], "big")
    at = data.index(b"fdAT") - 4
    monkeypatch.setattr(cv2, "imdecode", None)
    np.testing.assert_array_equal(decode_image(data), picture)
    np.testing.assert_array_equal(decode_image(data[:at] + data[start : start + size] + data[at:]), picture)


def test_other_folders_are_not_people(tmp_path):
    for name in ("bea", "ada", ".git", "__MACOSX"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()
    assert [path.name for path in list_people(tmp_path)] == ["ada", "bea"]
    with pytest.raises(InputError, match="no person folders"):
        list_people(tmp_path / "ada")
    with pytest.raises(InputError, match="not a folder"):
        list_people(tmp_path / "notes.txt")


def test_png_names_keep_photos_apart():
    assert png_name("a.jpg") != png_name("a.png") == "a_png.png" != png_name("a.PNG")


def test_shrinking_averages():
    stripes = np.zeros((224, 224, 3), np.uint8)
    stripes[:, ::2] = 200
    assert abs(int(resize_chip(stripes, 112)[50, 50, 0]) - 100) <= 1
    assert resize_chip(stripes, 224) is stripes


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
@pytest.mark.parametrize("note", [zlib.compress(bytes(5_000_000)), b"garbage"])
def test_the_notes_of_a_png_lose_no_image(picture, kind, note):
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    for levels in (picture, np.dstack([picture, alpha])):
        png = encode(Image.fromarray(levels), "PNG")
        damaged = png_chunk(kind, b"x\0\0" + note)
        for chunk in (damaged, damaged[:-4] + b"\xff\xff\xff\xff"):
            np.testing.assert_array_equal(decode_image(with_png_chunks(png, chunk)), picture)


def test_no_program_is_run_for_an_image(tmp_path, monkeypatch):
    """Pillow has PostScript run by Ghostscript, whatever the file is called."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ValueError, match="not an image, or an unknown format"):
        decode_image(POSTSCRIPT % os.fsencode(tmp_path / "ran"))
    assert not (tmp_path / "ran").exists()
