"""Videos that are written: read again at the right time, named once they are whole, playable after a kill."""

import resource
import signal
import subprocess
import sys

import av
import numpy as np
import pytest
from support import ROOT, gray_pictures

from utils.cli import InputError
from utils.files import UNFINISHED
from utils.media.video import VideoSource
from utils.media.video_output import FORMATS, VideoOutput


@pytest.mark.parametrize("suffix", FORMATS)
def test_frames_are_read_as_written(tmp_path, suffix):
    path = tmp_path / "new" / f"gray{suffix}"
    video = VideoOutput(path, 15)
    for picture in gray_pictures(10):
        video.write(picture)
    assert not path.exists()
    video.close()
    assert list(path.parent.iterdir()) == [path]
    source = VideoSource(path)
    frames = list(source.frames())
    source.close()
    assert source.rate == 15 and [frame.index for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == pytest.approx([index / 15 for index in range(10)], abs=0.001)
    for frame, picture in zip(frames, gray_pictures(10), strict=True):
        assert frame.image.shape == picture.shape and np.abs(frame.image.astype(int) - picture).mean() < 5
    assert (np.diff([frame.image.mean() for frame in frames]) > 0).all()  # in order: each is brighter than the last


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".webm", ".mkv"])
def test_browsers_know_the_codec(tmp_path, suffix):
    video = VideoOutput(tmp_path / f"gray{suffix}", 15)
    video.write(gray_pictures(1)[0])
    video.close()
    with av.open(str(video.path)) as file:
        assert file.streams.video[0].codec_context.name == "vp9"


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize("size_wh", [(160, 120), (161, 121)])
def test_colors_stay_as_they_are(tmp_path, suffix, size_wh):
    video = VideoOutput(tmp_path / f"colors{suffix}", 15)
    picture = np.zeros((*size_wh[::-1], 3), np.uint8)
    for corner, color in enumerate([(200, 30, 30), (30, 200, 30), (30, 30, 200), (255, 255, 255)]):
        picture[60 * (corner // 2) :, 80 * (corner % 2) :] = color
    for _ in range(3):
        video.write(picture)
    video.close()
    *_, frame = VideoSource(video.path).frames()
    assert frame.image.shape == picture.shape
    assert np.abs(frame.image[20::60, 20::80].astype(int) - picture[20::60, 20::80]).max() < 8


def test_frames_are_seen_at_their_times(tmp_path):
    for suffix in (".mp4", ".avi"):
        video, times = VideoOutput(tmp_path / f"gray{suffix}", 10), (5.0, 5.3, 5.3, 5.4, 9.0)
        for seconds in times:
            video.write_at(gray_pictures(1)[0], seconds)
        video.close()
        read = [frame.time for frame in VideoSource(video.path).frames()]
        expected = [0, 0.3, 0.4, 4.0] if suffix == ".avi" else [0, 0.3, 0.3, 0.4, 4.0]
        assert read == pytest.approx(expected, abs=0.002) and video.written == 5


@pytest.mark.fault
def test_frames_of_another_size_are_fitted(tmp_path, capsys):
    video = VideoOutput(tmp_path / "gray.mp4", 10)
    for shape in ((120, 160, 3), (480, 640, 3), (120, 80, 3), (1, 900, 3)):
        video.write(np.full(shape, 200, np.uint8))
    video.close()
    images = [frame.image for frame in VideoSource(video.path).frames()]
    assert [image.shape for image in images] == [(120, 160, 3)] * 4
    assert images[1].min() > 190  # the same shape: no borders
    assert images[2][:, 50:110].min() > 190 and images[2][:, :30].max() < 10
    assert capsys.readouterr().err.count("640×480 are fitted into 160×120 pixels") == 1


@pytest.mark.kill
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_kill_leaves_a_playable_video(tmp_path, suffix):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from utils.media.video_output import VideoOutput
from pathlib import Path
video = VideoOutput(Path({str(tmp_path / f"film{suffix}")!r}), 10)
for number in range(75):
    video.write(np.full((120, 160, 3), number, np.uint8))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(UNFINISHED)
    frames = list(VideoSource(left).frames())
    assert len(frames) >= 50 and frames[-1].time >= 5  # of 7.5 seconds


@pytest.mark.fault
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_a_full_disk_is_noticed_and_keeps_the_film(tmp_path, suffix):
    path = tmp_path / f"noise{suffix}"
    video, rng = VideoOutput(path, 10), np.random.default_rng(0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(InputError, match=rf"noise\{suffix} cannot be written: File too large"):
            for _ in range(200):
                video.write(rng.integers(0, 256, (120, 160, 3), np.uint8))
        with pytest.raises(InputError, match="cannot be written"):
            video.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(list(VideoSource(path).frames())) >= 5
    assert list(tmp_path.iterdir()) == [path]
