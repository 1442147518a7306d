"""Cameras: the newest frame, lost and silent cameras, errors, and addresses without passwords."""

import threading

import pytest
from support import DEADLINE, gray_pictures, wait_until

from utils.cli import InputError
from utils.media import camera, video
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


@pytest.mark.fault
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


@pytest.mark.fault
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


@pytest.mark.fault
def test_seconds_of_silence_count_from_the_start(monkeypatch):
    """No picture ever comes: the camera is given up when the time is over, and no attempt may take longer."""
    now, timeouts = [0.0], []

    class Silent(SilentCapture):
        def read(self) -> tuple[bool, None]:
            now[0] += timeouts[-1]
            return False, None

    def open_silent(_: str, timeout: float) -> Silent:
        timeouts.append(timeout)
        return Silent()

    monkeypatch.setattr(camera, "_open_capture", open_silent)
    monkeypatch.setattr(camera, "RETRY_WAITS", (0.0,))
    source = Camera("http://host/cam", give_up=5, clock=lambda: now[0])
    with pytest.raises(InputError, match="has sent no picture within 5 s"):
        list(source.frames())
    source.close()
    assert now[0] == 5 and timeouts == [4, 1]


@pytest.mark.parametrize("sign", "#/?")
def test_a_password_must_be_quoted(sign):
    for address in (f"rtsp://user:pa{sign}ss@127.0.0.1:9/cam", f"http://user:1{sign}ss@127.0.0.1:9/cam"):
        with pytest.raises(InputError, match=r"write # as %23, / as %2F and \? as %3F") as info:
            Camera(address, timeout=0.5)
        assert "ss@" not in str(info.value) and ":pa" not in str(info.value)
    with pytest.raises(InputError) as info:
        Camera("http://user:secret@127.0.0.1:9/cam", timeout=0.5)
    assert "%23" not in str(info.value)
    with pytest.raises(InputError) as info:
        Camera("http://127.0.0.1:9/cam?a=b", timeout=0.5)
    assert "%23" not in str(info.value)


def test_a_recorders_pixels_become_square(gray_camera, monkeypatch):
    monkeypatch.setattr(video, "square_pixels", lambda image, _: image.repeat(2, axis=1))
    source = Camera(gray_camera.url)
    assert next(source.frames()).image.shape == (120, 320, 3)
    source.close()
