"""Interlaced videos, as camcorders, DVDs and television have them, which OpenCV 5.0 does not convert.

Without an error it gives what its memory holds: the frame before, or anything. So PyAV reads them, and makes whole
pictures of their fields.
"""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    import av.filter


def is_interlaced(path: Path, count: int) -> bool:
    """Whether any of the first `count` frames of a video is interlaced."""
    import av  # here and below: it is not needed for other videos

    with suppress(Exception), av.open(str(path)) as file:  # PyAV raises many kinds of error on damaged files
        return any(frame.interlaced_frame for frame in itertools.islice(file.decode(video=0), count))
    return False


def read_interlaced(path: Path, skipped: int) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the frames of a video behind the first ones, RGB uint8 (H, W, 3), with their seconds.

    It ends where the file cannot be read any more.
    """
    import av

    with suppress(av.FFmpegError), av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.thread_type = "AUTO"
        start = float((stream.start_time or 0) * stream.time_base)
        for frame in itertools.islice(_whole_pictures(file, stream), skipped, None):
            yield frame.to_ndarray(format="rgb24"), (frame.time or 0.0) - start


def _whole_pictures(file: "av.container.InputContainer", stream: "av.VideoStream") -> Iterator["av.VideoFrame"]:
    """The frames of a video; those of two fields are interpolated, since the fields show two moments."""
    import av
    import av.filter

    graph = av.filter.Graph()
    # One frame for each; the order of the fields as the frame says; others pass.
    graph.link_nodes(
        graph.add_buffer(template=stream), graph.add("yadif", "send_frame:auto:interlaced"), graph.add("buffersink")
    ).configure()
    for frame in itertools.chain(file.decode(stream), [None]):
        graph.push(frame)
        with suppress(BlockingIOError, EOFError):  # the filter wants more, or has given all
            while True:
                yield cast("av.VideoFrame", graph.pull())
