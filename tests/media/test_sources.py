"""The source that the flags name, and whether its picture is mirrored."""

from pathlib import Path

import pytest
from support import gray_pictures

from utils.cli import InputError
from utils.media import sources
from utils.media.images import write_image
from utils.media.sources import PhotoSource, is_mirrored


def test_unreadable_photos_of_a_folder_are_skipped(tmp_path, capsys):
    for name in ("a.png", "c.png"):
        write_image(tmp_path / name, gray_pictures(1)[0])
    (tmp_path / "b.png").write_bytes(b"not an image")
    assert [(frame.index, frame.name) for frame in PhotoSource(tmp_path).frames()] == [(0, "a.png"), (1, "c.png")]
    assert "skipped" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"b\.png"):
        list(PhotoSource(tmp_path / "b.png").frames())


def test_an_index_of_thousands_of_digits_is_no_camera(monkeypatch):
    monkeypatch.setattr(sources, "Camera", lambda index, give_up: index)
    assert sources.open_camera("9" * 5000) == sources.MAX_CAMERA_INDEX and sources.open_camera("02") == 2


@pytest.mark.parametrize(
    ("choice", "camera", "video", "mirrored"),
    [
        (None, "0", None, True),
        (None, "/dev/video1", None, True),
        (None, "rtsp://host/cam", None, False),
        (None, "0", Path("a.mp4"), False),
        (1, "0", Path("a.mp4"), True),
        (0, "0", None, False),
    ],
)
def test_people_see_themselves_mirrored(choice, camera, video, mirrored):
    assert is_mirrored(choice, camera, video) is mirrored
