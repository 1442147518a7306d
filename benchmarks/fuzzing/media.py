"""Images and videos."""

import contextlib
import io
import math
from pathlib import Path

import numpy as np

from fuzzing.target import check


def picture() -> np.ndarray:
    """RGB uint8 (24, 32, 3)."""
    y, x = np.mgrid[:24, :32]
    return np.stack([x * 8, y * 10, (x + y) * 4], axis=2).astype(np.uint8)


def image_seeds(folder: Path) -> None:
    import cv2
    from PIL import Image
    from pillow_heif import register_heif_opener

    register_heif_opener()
    color = Image.fromarray(picture())
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    options = {"jpeg": {"exif": exif}, "webp": {"exif": exif}, "heif": {"exif": exif}, "png": {"exif": exif}}
    for kind in ("jpeg", "png", "bmp", "webp", "tiff", "gif", "ppm", "jpeg2000", "avif", "heif"):
        color.save(folder / f"rgb.{kind}", kind, **options.get(kind, {}))
    color.save(folder / "progressive.jpeg", "jpeg", progressive=True)
    color.save(folder / "lossless.webp", "webp", lossless=True)
    color.save(folder / "animated.webp", "webp", save_all=True, append_images=[color.rotate(90)])
    color.save(folder / "animated.gif", "gif", save_all=True, append_images=[color.rotate(90)])
    color.save(folder / "animated.png", "png", save_all=True, append_images=[color.rotate(90)])
    for mode, kind in (("L", "jpeg"), ("CMYK", "jpeg"), ("RGBA", "png"), ("P", "png"), ("LA", "png"), ("1", "png")):
        color.convert(mode).save(folder / f"{mode}.{kind}", kind)
    for kind in ("RGBA", "CMYK", "L", "1", "P"):
        color.convert(kind).save(folder / f"{kind}.tiff", "tiff", compression="tiff_lzw")
    color.save(folder / "deflate.tiff", "tiff", compression="tiff_adobe_deflate")
    color.save(folder / "jpeg.tiff", "tiff", compression="jpeg")
    for name, dtype, suffixes in (("u16", np.uint16, (".png", ".tiff", ".jp2")), ("f4", np.float32, (".tiff",))):
        for suffix in suffixes:
            for levels in (picture().astype(dtype) * 16, picture()[..., 0].astype(dtype)):
                levels = np.kron(levels, np.ones((4, 4, 1)[: levels.ndim], dtype))  # JPEG 2000 needs so many pixels
                (folder / f"{name}_{levels.ndim}{suffix}").write_bytes(cv2.imencode(suffix, levels)[1].tobytes())
    # Formats that Pillow knows and that no photo has, under a photo's name.
    for kind in ("eps", "pcx", "tga", "icns", "dds", "im", "sgi", "ico", "pdf"):
        with contextlib.suppress(Exception):
            color.save(folder / f"foreign.{kind}", kind)


def read_image(data: bytes, folder: Path) -> None:
    from utils.media.images import MAX_PIXELS, decode_image

    image = decode_image(data, shrink=(1, 2, 4, 8)[len(data) % 4])
    check(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size, f"{image.shape}")
    check(image.shape[0] * image.shape[1] <= MAX_PIXELS, f"too many pixels: {image.shape}")
    check(image.flags.c_contiguous and image.flags.writeable, "not an array of its own")


VIDEOS = (("mp4", "mpeg4"), ("mp4", "libx264"), ("avi", "mjpeg"), ("webm", "libvpx-vp9"), ("mkv", "libx264"))
VIDEOS += (
    ("ts", "mpeg2video"),
    ("mov", "mjpeg"),
    ("flv", "flv"),
    ("mpg", "mpeg1video"),
    ("3gp", "mpeg4"),
    ("wmv", "wmv2"),
)


def video_seeds(folder: Path) -> None:
    import av

    for container, codec in VIDEOS:
        file = io.BytesIO()
        kind = {"mkv": "matroska", "ts": "mpegts", "wmv": "asf", "mpg": "mpeg"}.get(container, container)
        try:
            with av.open(file, "w", format=kind) as output:
                stream = output.add_stream(codec, rate=25)
                stream.width, stream.height = 64, 48
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                for number in range(8):
                    image = np.kron(np.roll(picture(), number, axis=1), np.ones((2, 2, 1), np.uint8))
                    output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                output.mux(stream.encode())
        except (av.FFmpegError, ValueError):  # a codec that this build of FFmpeg lacks
            continue
        (folder / f"{codec}.{container}").write_bytes(file.getvalue())


def read_video(data: bytes, folder: Path) -> None:
    from utils.media.video import VideoSource

    path = folder / "film.mp4"
    path.write_bytes(data)
    source, last = VideoSource(path), 0.0
    try:
        for frame in source.frames():
            image = frame.image
            check(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size, f"{image.shape}")
            check(math.isfinite(frame.time) and frame.time >= last, f"time {frame.time} after {last}")
            last = frame.time
            if frame.index >= 30:
                break
    finally:
        source.close()


def load_media() -> None:
    import av  # noqa: F401
    import cv2

    from utils.media.images import _set_up_pillow
    from utils.media.video import VideoSource  # noqa: F401

    cv2.setNumThreads(1)
    _set_up_pillow()
    image = io.BytesIO()
    from PIL import Image

    Image.fromarray(picture()).save(image, "tiff")  # loads all of Pillow's formats
