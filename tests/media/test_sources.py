"""Which source the flags name, and how it is shown."""

from pathlib import Path

import pytest

from utils.media.sources import is_mirrored


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
