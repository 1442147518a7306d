"""Video files: every frame, in its shape and at its time; what is missing is named."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from threading import Thread

import av
import cv2
import numpy as np
import pytest
from support import gray_pictures, write_clip

from utils.cli import InputError
from utils.media.video import VideoSource, _Times, declared_size, read_frame
from utils.media.video_check import describe_loss, explain_failure

RATE = 10  # frames a second


def write_film(
    path: Path,
    times: list[float] | None = None,
    codec: str = "mpeg4",
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    tail: float = 0.0,
) -> None:
    """Write gray pictures that grow lighter, with what phones and cameras do. tail: seconds of sound after them."""
    times = [index / RATE for index in range(30)] if times is None else times
    with av.open(str(path), "w", options=options or {}) as file:
        stream = file.add_stream(codec, rate=RATE, options={"preset": "12"} if "av1" in codec else {})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        sound = file.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=8000) if tail else None
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        pictures = gray_pictures(60)
        for number, seconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(pictures[number % 60], "rgb24")
            frame.pts, frame.time_base = round(seconds * 1000), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, int(8000 * (3 + tail))), np.int16), "s16", "mono")
            silence.rate, silence.pts = 8000, 0
            file.mux(sound.encode(silence))
            file.mux(sound.encode(None))


def test_leaps_of_the_clock_are_left_out():
    def times(*stamps: float) -> list[float]:
        clock = _Times(rate=10)
        return [round(clock.next(stamp), 6) for stamp in stamps]

    assert times(-2, -1.9, 0, 0.1) == [0, 0.1, 2, 2.1]
    assert times(0, 5, 4.9, 5.1) == [0, 5, 5, 5.1]  # a little disorder
    assert times(0, 5, 1, 1.5) == [0, 5, 5.1, 5.6]
    assert times(0, 600, 1200) == [0, 600, 1200]
    assert times(0, 5, 95_443, 95_444) == [0, 5, 5.1, 6.1]
    assert times(0, 0, 0) == [0, 0.1, 0.2]  # no time stamps


def read_film(path: Path) -> list:
    source = VideoSource(path)
    try:
        return list(source.frames())
    finally:
        source.close()


@pytest.mark.parametrize(("aspect", "size_wh"), [((64, 45), (228, 120)), ((8, 9), (160, 135)), ((99, 1), (160, 120))])
def test_pixels_become_square(tmp_path, aspect, size_wh):
    path = tmp_path / "dvd.mkv"
    write_film(path, aspect=Fraction(*aspect))
    assert {frame.image.shape[1::-1] for frame in read_film(path)} == {size_wh}
    assert declared_size(VideoSource(path).capture) == size_wh


def test_a_video_on_its_side_is_stretched_the_other_way():
    class Turned:
        def get(self, key: int) -> float:
            known = {cv2.CAP_PROP_SAR_NUM: 2, cv2.CAP_PROP_SAR_DEN: 1, cv2.CAP_PROP_ORIENTATION_META: 90}
            return known.get(key, {cv2.CAP_PROP_FRAME_WIDTH: 90, cv2.CAP_PROP_FRAME_HEIGHT: 160}.get(key, 1))

    assert declared_size(Turned()) == (90, 320)


def test_times_follow_a_variable_rate(tmp_path):
    path, times = tmp_path / "phone.mp4", [0, 0.1, 0.2, 1.0, 1.05, 2.5]
    write_film(path, times)
    assert [frame.time for frame in read_film(path)] == pytest.approx(times, abs=0.002)


def test_times_never_fall_where_recordings_were_joined(tmp_path):
    path = tmp_path / "joined.ts"
    for number, start in enumerate((130.0, 10.0)):
        write_film(tmp_path / f"{number}.ts", [start + index / RATE for index in range(20)])
    path.write_bytes((tmp_path / "0.ts").read_bytes() + (tmp_path / "1.ts").read_bytes())
    times = [frame.time for frame in read_film(path)]
    assert times[0] == pytest.approx(0, abs=0.2) and len(times) >= 39
    assert (np.diff(times) >= 0).all() and times[-1] == pytest.approx(4, abs=0.4)


def test_a_codec_that_cannot_be_decoded_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SVT_LOG", "1")  # the encoder prints errors only
    path = tmp_path / "phone.mp4"
    # As root, the encoder gives the thread that calls it real-time priority, and all later children would inherit it.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(write_film, path, codec="libsvtav1").result()
    with pytest.raises(InputError, match=r"phone\.mp4.*AV1 \(av01\).*ffmpeg -i "):
        read_film(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_that_was_cut_off_says_how_much_is_missing(tmp_path, capsys, suffix):
    path = tmp_path / f"cut{suffix}"
    write_film(path, [index / RATE for index in range(200)], options={"movflags": "faststart"})
    assert len(read_film(path)) == 200 and capsys.readouterr().err == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = read_film(path)
    assert 40 < len(frames) < 160
    assert f"only {len(frames)} of 200 frames could be read" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_is_longer_than_the_film_is_no_loss(tmp_path, capsys, suffix):
    path = tmp_path / f"long{suffix}"
    write_film(path, tail=9.0)
    assert len(read_film(path)) == 30 and capsys.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
def test_a_clock_that_begins_late_is_no_loss(tmp_path, capsys, suffix):
    path = tmp_path / f"late{suffix}"
    write_film(path, [36_000 + index / RATE for index in range(30)])
    frames = list(VideoSource(path).frames())
    assert len(frames) == 30 and frames[-1].time < 30 / RATE + 0.1 and capsys.readouterr().err == ""


def test_a_pipe_is_a_video(tmp_path, capsys):
    write_film(tmp_path / "film.mkv")
    os.mkfifo(tmp_path / "pipe")

    def send() -> None:
        with open(tmp_path / "film.mkv", "rb") as film, open(tmp_path / "pipe", "wb") as pipe:
            shutil.copyfileobj(film, pipe)

    Thread(target=send, daemon=True).start()
    assert len(read_film(tmp_path / "pipe")) == 30


@pytest.mark.parametrize("name", [b"Interview: Ada.mp4", b"concat:a|b.mp4", b"caf\xe9.mp4", b"a\nb.mp4", b"x%03d.mp4"])
def test_a_video_may_have_any_name(tmp_path, monkeypatch, name):
    """FFmpeg takes a colon in a relative path for a protocol, and OpenCV crashes at what is not UTF-8."""
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    write_film(tmp_path / "film.mp4")
    os.rename("film.mp4", path)
    assert len(read_film(path)) == 30
    path.write_bytes(b"not a film")
    with pytest.raises(InputError, match="cannot be opened as a video"):
        read_film(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is a folder"),
        ("no.mp4", "does not exist"),
        ("a.mp4", "opened.*damaged"),
        ("sound.m4a", "only sound"),
        ("/dev/null", "is a device"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, name, message):
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with av.open(str(tmp_path / "sound.m4a"), "w") as file:
        sound = file.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        silence.rate = 8000
        file.mux(sound.encode(silence))
        file.mux(sound.encode(None))
    with pytest.raises(InputError, match=message):
        read_film(tmp_path / name)


def test_a_name_with_stray_bytes_is_read(tmp_path):
    """OpenCV crashed on it. In the C locale every name with accents has such bytes for Python."""
    path = tmp_path / os.fsdecode(b"f\xeate.avi")
    write_clip(tmp_path / "plain.avi", gray_pictures(3))
    (tmp_path / "plain.avi").rename(path)
    assert len(read_film(path)) == 3


class DamagedCapture:
    """A film in whose frame OpenCV stops with an error."""

    def __init__(self, code: int):
        self.error = cv2.error("in the library")
        self.error.code = code

    def read(self):
        raise self.error


def test_an_error_of_the_library_ends_a_film():
    assert read_frame(DamagedCapture(cv2.Error.StsAssert), stretch=True) is None
    with pytest.raises(MemoryError, match="a frame of the video"):
        read_frame(DamagedCapture(cv2.Error.StsNoMem), stretch=True)


@pytest.mark.parametrize("error", [IndexError, OverflowError, ZeroDivisionError, MemoryError, AttributeError])
def test_an_error_of_the_library_is_a_damaged_film(monkeypatch, error):
    def fail(path):
        raise error("list index out of range")

    monkeypatch.setattr(av, "open", fail)
    assert explain_failure(Path("film.mp4"), Path("film.mp4")) == ": it is damaged, cut off, or in an unknown format"
    assert describe_loss(Path("film.mp4"), 3) is None
