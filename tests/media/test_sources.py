"""The source that the flags name, and whether its picture is mirrored."""

from pathlib import Path

import pytest
from support import gray_pictures

from utils.cli import InputError
from utils.media import sources
from utils.media.images import write_image
from utils.media.sources import PhotoSource, is_mirrored, open_camera


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


def test_a_folder_tells_what_it_holds_besides_photos(tmp_path):
    write_image(tmp_path / "a.png", gray_pictures(1)[0])
    (tmp_path / "notes.txt").touch()
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    source = PhotoSource(tmp_path)
    assert [str(item) for item in source.unread] == [f"{tmp_path}/gone.jpg: a link to nothing", f"{tmp_path}/notes.txt"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"has no photos; 1 special file .*; 1 \.txt file"):
        PhotoSource(tmp_path)


def test_a_camera_has_a_name_of_text():
    with pytest.raises(InputError, match=r"must be text in UTF-8"):  # OpenCV would crash
        open_camera("/dev/video\udce9")
