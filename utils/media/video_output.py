"""Write videos that every browser plays, and of which a killed run leaves all but the last second."""

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from utils.cli import InputError, warn
from utils.files import start_file, take_name

TICKS = 90_000  # a second: the smallest step of a frame's time
MIN_STEP = 90  # ticks between two frames; .webm and .mkv count milliseconds
FRAGMENT_SECONDS = 1  # of video that a kill may lose
SCREENS = (
    "libvpx-vp9",
    {
        # Measured on 275 frames of 640×360: 2.1 ms a frame; OpenCV's own encoder cannot be set and takes 95.
        "deadline": "realtime",
        "cpu-used": "8",
        "row-mt": "1",
        # Quality, 0-63, lower is better. On these frames 38 dB, as with OpenCV's MPEG-4, in a third of its bytes.
        "crf": "38",
        "b": "0",  # no limit of the bit rate
        "lag-in-frames": "0",  # write each frame at once
    },
)
MOTION_JPEG = "mjpeg", {"q": "4"}  # the only codec in .avi that players read everywhere; browsers do not
# A fragment can be read without those after it. hybrid_fragmented makes an ordinary file of them at the end.
MP4 = "mp4", {"movflags": "hybrid_fragmented+frag_keyframe", "frag_duration": str(FRAGMENT_SECONDS * 1_000_000)}
CLUSTERS = {"cluster_time_limit": str(FRAGMENT_SECONDS * 1000)}
FORMATS = {
    ".mp4": (*MP4, *SCREENS),
    ".m4v": (*MP4, *SCREENS),
    ".mov": (*MP4, *SCREENS),
    ".webm": ("webm", CLUSTERS, *SCREENS),
    ".mkv": ("matroska", CLUSTERS, *SCREENS),
    ".avi": ("avi", {}, *MOTION_JPEG),
}


class VideoOutput:
    """Appends RGB frames to a video file without sound, which takes its name when it is closed.

    The first frame opens the file and sets its size; later ones of another size are fitted into it. Until then the
    file has the prefix `.unfinished-`, and there it stays if the run is killed. It is playable at any time.
    """

    def __init__(self, path: Path, rate: float):
        self.path = path
        self.rate = rate  # frames a second, of `write`
        self.written = 0  # frames
        self.size_wh: tuple[int, int] | None = None  # pixels
        self._unfinished: Path | None = None
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._start: float | None = None  # seconds of the first frame, for write_at
        self._last_tick = -MIN_STEP  # of the newest frame
        self._fitted = False  # whether the user knows that frames are fitted
        self._is_avi = path.suffix.lower() == ".avi"
        self._time_base = Fraction(1, TICKS)  # seconds

    def write(self, image: np.ndarray) -> None:
        """Append an RGB uint8 image (H, W, 3). Raises InputError if the file cannot be written."""
        self._append(image, self.written / self.rate)

    def write_at(self, image: np.ndarray, seconds: float) -> None:
        """Append an image to be seen from `seconds` on. The first one is the start of the video."""
        self._start = seconds if self._start is None else self._start
        self._append(image, seconds - self._start)

    def _append(self, image: np.ndarray, seconds: float) -> None:
        if self._container is None:
            self._open(image.shape[1::-1])
        tick = round(seconds / self._time_base)
        # Two frames of one moment must follow each other. In an .avi, where each has a place, one is left out.
        if not self._is_avi:
            tick = max(tick, self._last_tick + MIN_STEP)
        if tick > self._last_tick:
            frame = self._encoder_frame(self._fit(image))
            frame.pts, frame.time_base, self._last_tick = tick, self._time_base, tick
            frame.duration = max(1, round(1 / self.rate / self._time_base))
            self._encode(frame)
        self.written += 1

    def _open(self, size_wh: tuple[int, int]) -> None:
        container, container_options, codec, codec_options = FORMATS[self.path.suffix.lower()]
        self._unfinished = start_file(self.path)
        rate = Fraction(self.rate).limit_denominator(1001)
        self._time_base = 1 / rate if self._is_avi else Fraction(1, TICKS)
        try:
            options = container_options | {"flush_packets": "1"}
            # Absolute, because FFmpeg takes what is before a colon for a protocol.
            self._container = av.open(str(self._unfinished.absolute()), "w", format=container, options=options)
            self._stream = cast(av.VideoStream, self._container.add_stream(codec, rate=rate, options=codec_options))
            self._stream.width, self._stream.height = self.size_wh = size_wh
            self._stream.pix_fmt = "yuvj420p" if self._is_avi else "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = self._time_base
        except (av.FFmpegError, ValueError) as exc:
            raise self._failure(exc) from None

    def _encoder_frame(self, image: np.ndarray) -> av.VideoFrame:
        """An image in the encoder's colors. OpenCV converts 640×360 pixels in 0.2 ms, FFmpeg in 1.2."""
        if self._is_avi or image.shape[0] % 2 or image.shape[1] % 2:  # OpenCV has neither full range nor odd sides
            return av.VideoFrame.from_ndarray(image, format="rgb24")
        return av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), format="yuv420p")

    def _fit(self, image: np.ndarray) -> np.ndarray:
        """The image in the size of the first one, with black borders if its shape differs."""
        if image.shape[1::-1] == self.size_wh:
            return np.ascontiguousarray(image)
        if not self._fitted:
            self._fitted = True
            sizes = (f"{width}×{height}" for width, height in (image.shape[1::-1], self.size_wh))
            warn(f"{self.path}: pictures of {' are fitted into '.join(sizes)} pixels, the size of the first one")
        width, height = self.size_wh
        scale = min(width / image.shape[1], height / image.shape[0])
        small = cv2.resize(
            image, [max(1, round(side * scale)) for side in image.shape[1::-1]], None, 0, 0, cv2.INTER_AREA
        )
        fitted = np.zeros((height, width, 3), np.uint8)
        top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
        fitted[top : top + small.shape[0], left : left + small.shape[1]] = small
        return fitted

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Write a frame, or, without one, what the encoder still holds."""
        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as exc:
            raise self._failure(exc) from None

    def _failure(self, exc: Exception) -> InputError:
        return InputError(f"{self.path} cannot be written: {getattr(exc, 'strerror', None) or exc}")

    def close(self) -> None:
        """Finish the file and give it its name. Raises InputError if that fails; what was written then stays."""
        container, self._container = self._container, None
        if container is None:
            return
        try:
            try:
                container.mux(self._stream.encode(None))
            finally:
                container.close()
        except av.FFmpegError as exc:
            raise self._failure(exc) from None
        finally:
            take_name(self._unfinished, self.path)
