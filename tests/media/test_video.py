"""Video files: what is written is read again, at the right time, and under its name only once it is whole."""

import numpy as np
import pytest
from support import gray_pictures

from utils.cli import InputError
from utils.media.video import MAX_REPEATED, VideoOutput, VideoSource


def test_frames_are_read_as_written(tmp_path):
    path = tmp_path / "new" / "gray.mp4"
    video = VideoOutput(path, 15)
    for picture in gray_pictures(10):
        video.write(picture)
    assert not path.exists()
    video.close()
    source = VideoSource(path)
    frames = list(source.frames())
    source.close()
    assert source.rate == 15 and [frame.index for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == pytest.approx([index / 15 for index in range(10)], abs=0.001)
    for frame, picture in zip(frames, gray_pictures(10), strict=True):
        assert frame.image.shape == picture.shape and np.abs(frame.image.astype(int) - picture).mean() < 5
    assert (np.diff([frame.image.mean() for frame in frames]) > 0).all()  # in order: each is brighter than the last


def test_frames_are_repeated_or_left_out_to_keep_the_rate(tmp_path):
    video = VideoOutput(tmp_path / "gray.avi", 10)
    for seconds, written in ((5.0, 1), (5.3, 4), (5.32, 4), (5.4, 5), (1e6, 5 + MAX_REPEATED)):
        video.write_at(gray_pictures(1)[0], seconds)
        assert video.written == written
    video.close()


@pytest.mark.parametrize(("name", "message"), [("", "is a folder"), ("no.mp4", "does not exist"), ("a.mp4", "opened")])
def test_what_is_no_video_is_refused(tmp_path, name, message):
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(InputError, match=message):
        VideoSource(tmp_path / name)
