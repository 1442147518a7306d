"""Cameras: the newest frame, lost and silent cameras, errors, and addresses without passwords."""

import threading

import pytest
from support import DEADLINE, gray_pictures, wait_until

from utils.cli import InputError
from utils.media import camera
from utils.media.camera import DARK, SILENCE, Camera, LiveSource, without_password
from utils.media.video import Frame


def test_the_newest_frame_comes_without_backlog(gray_camera):
    source = Camera(gray_camera.url)
    source.start()
    first = source.newest(timeout=DEADLINE)
    wait_until(lambda: source.newest(first.index + 5) is not None)  # the caller is busy for a while
    second = source.newest(first.index)
    assert second.index >= first.index + 6  # the frames in between are gone
    assert first.arrived < second.arrived <= source.clock()
    assert source.newest(second.index + 1000) is None
    source.close()
    assert source.ended


def test_a_lost_camera_is_noted_and_reopened(gray_camera, capsys):
    source = Camera(gray_camera.url.replace("http://", "http://ada:secret@"))
    source.start()
    before = source.newest(timeout=DEADLINE)
    assert source.note is None
    gray_camera.stop()
    wait_until(lambda: source.note is not None)
    assert "lost" in source.note
    gray_camera.start()
    wait_until(lambda: source.note is None)
    after = source.newest(before.index, timeout=DEADLINE)
    assert after.index > before.index and after.time > before.time
    source.close()
    captured = capsys.readouterr()
    assert "trying again" in captured.err and "secret" not in captured.err + captured.out


def test_a_lost_camera_is_given_up(gray_camera):
    source = Camera(gray_camera.url, give_up=0.1)
    frames = source.frames()
    next(frames)
    gray_camera.stop()
    list(frames)  # ends
    source.close()
    with pytest.raises(InputError, match="cannot be opened"):
        Camera(gray_camera.url)


class SilentCapture:
    """An open camera of unknown size whose `read` blocks until it is released."""

    def __init__(self):
        self.reading, self.released = threading.Event(), threading.Event()

    def isOpened(self) -> bool:
        return True

    def get(self, _: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, None]:
        self.reading.set()
        self.released.wait(DEADLINE)
        return False, None

    def release(self) -> None: ...


def test_a_silent_camera_is_noted(monkeypatch):
    now, capture = [0.0], SilentCapture()
    monkeypatch.setattr(camera, "_open_capture", lambda *_: capture)
    source = Camera(0, clock=lambda: now[0])
    source.start()
    assert capture.reading.wait(DEADLINE)
    now[0] = SILENCE
    assert source.note is None
    now[0] += 0.1
    assert source.note == "the camera sends no pictures"
    blank = source.blank()
    assert blank.index == -1 and blank.image.shape == (480, 640, 3) and (blank.image == DARK).all()
    capture.released.set()
    source.close()
    assert source.ended


def test_passwords_are_hidden():
    assert without_password("rtsp://user:p@ss@host/cam") == "rtsp://…@host/cam"
    assert without_password("/dev/video0") == "/dev/video0"
    assert without_password("http://bob:s3/cret@host/cam") == "http://…@host/cam"
    assert without_password("bob:secret@host") == "…@host"
    assert without_password("http://host:80/cam?user=bob&pwd=secret") == "http://host:80/cam?…"
    assert without_password("http://host/cam") == "http://host/cam"


def test_an_error_while_reading_is_raised_in_the_caller():
    class Unplugged(LiveSource):
        def _read_frames(self):
            self._publish(Frame(gray_pictures(1)[0], 0.0))
            raise InputError("the cable was pulled out")

    source = Unplugged(30.0, (160, 120))
    frames = source.frames()
    assert next(frames).index == 0
    with pytest.raises(InputError, match="the cable"):
        next(frames)
    wait_until(lambda: source.ended)
    source.close()
