"""Interlaced videos, which OpenCV reads as whatever its memory holds."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from utils.media.camera import STILL, Camera
from utils.media.video import VideoSource
from utils.synthetic.network_camera import MjpegCamera

RATE = 25  # frames a second


def pictures(count: int, step: int = 4) -> list[np.ndarray]:
    """A bar that moves by some pixels a frame."""
    films = np.full((count, 96, 128, 3), 60, np.uint8)
    for number, film in enumerate(films):
        film[24:72, step * number : step * number + 24] = (200, 120, 40)
    return list(films)


def write_film(path: Path, films: list[np.ndarray], interlaced: bool, codec: str = "mpeg2video") -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=RATE, options={"flags": "+ildct+ilme"} if interlaced else {})
        stream.height, stream.width = films[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for number, picture in enumerate(films):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def assert_shows(path: Path, films: list[np.ndarray], tolerance: float = 6) -> None:
    frames = list(VideoSource(path).frames())
    assert [frame.index for frame in frames] == list(range(len(films)))
    np.testing.assert_allclose(
        [frame.time - frames[0].time for frame in frames], np.arange(len(films)) / RATE, atol=0.001
    )
    for frame, picture in zip(frames, films, strict=True):
        assert np.abs(frame.image.astype(int) - picture).mean() < tolerance


@pytest.mark.parametrize(("name", "codec"), [("film.ts", "mpeg2video"), ("film.mov", "mpeg4")])
@pytest.mark.parametrize("count", [1, 12])
def test_interlaced_films_are_read(tmp_path, name, codec, count):
    assert_shows(write_film(tmp_path / name, pictures(count), True, codec), pictures(count))


def test_still_films_are_read_as_ever(tmp_path):
    assert_shows(write_film(tmp_path / "still.mp4", pictures(12, step=0), False, "mpeg4"), pictures(12, step=0))


def test_a_film_that_becomes_interlaced_is_read(tmp_path):
    first, second = pictures(40, step=1), pictures(40, step=2)
    parts = [write_film(tmp_path / f"{kind}.ts", films, kind) for kind, films in ((False, first), (True, second))]
    film = tmp_path / "both.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    shown = [frame.image for frame in VideoSource(film).frames()]
    assert len(shown) >= 78
    assert np.abs(shown[-1].astype(int) - second[-1]).mean() < 6


def test_a_camera_that_hangs_is_told(capfd):
    server = MjpegCamera(pictures(1), 200)
    server.start()
    camera = Camera(server.url)
    try:
        for frame in camera.frames():
            if frame.index > STILL + 50:
                break
    finally:
        camera.close()
        server.stop()
    assert capfd.readouterr().err.count("the same picture") == 1
