"""Cameras: the newest frame, lost ones opened again, silent ones, addresses without passwords."""

import time

import pytest
from support import gray_pictures, wait_until

from utils.cli import InputError
from utils.media.camera import Camera, LiveSource, without_password
from utils.media.video import Frame


def test_a_camera_gives_its_newest_frame_without_backlog(gray_camera):
    source = Camera(gray_camera.url)
    source.start()
    first = source.newest(timeout=20)
    time.sleep(1.0)  # somebody thinks for a second
    second = source.newest(first.index)
    assert second.index >= first.index + 5  # what was filmed meanwhile is gone
    assert time.monotonic() - second.arrived < 0.9
    assert source.newest(second.index + 1000) is None
    source.close()
    assert source.ended


def test_a_lost_camera_is_noted_and_opened_again(gray_camera, capsys):
    source = Camera(gray_camera.url.replace("http://", "http://ada:secret@"))
    source.start()
    before = source.newest(timeout=20)
    assert source.note is None
    gray_camera.stop()
    wait_until(lambda: source.note is not None)
    assert "lost" in source.note
    gray_camera.start()
    wait_until(lambda: source.note is None)
    after = source.newest(before.index, timeout=20)
    assert after.index > before.index and after.time > before.time
    source.close()
    captured = capsys.readouterr()
    assert "trying again" in captured.err and "secret" not in captured.err + captured.out


def test_a_camera_may_be_given_up_and_must_be_there_at_first(gray_camera):
    source = Camera(gray_camera.url, give_up=0.1)
    frames = source.frames()
    next(frames)
    gray_camera.stop()
    list(frames)  # ends
    source.close()
    with pytest.raises(InputError, match="cannot be opened"):
        Camera(gray_camera.url)


def test_addresses_are_told_without_passwords():
    assert without_password("rtsp://user:p@ss@host/cam") == "rtsp://…@host/cam"
    assert without_password("/dev/video0") == "/dev/video0"
    assert without_password("http://bob:s3/cret@host/cam") == "http://…@host/cam"
    assert without_password("bob:secret@host") == "…@host"
    assert without_password("http://host:80/cam?user=bob&pwd=secret") == "http://host:80/cam?…"
    assert without_password("http://host/cam") == "http://host/cam"


def test_an_error_of_a_camera_is_raised_where_its_frames_are_taken():
    class Unplugged(LiveSource):
        def _read_frames(self):
            self._publish(Frame(gray_pictures(1)[0], 0.0))
            raise InputError("somebody fell over the cable")

    source = Unplugged(30.0, (160, 120))
    frames = source.frames()
    assert next(frames).index == 0
    with pytest.raises(InputError, match="the cable"):
        next(frames)
    wait_until(lambda: source.ended)
    source.close()
