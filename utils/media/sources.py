"""Choose the source of frames that a script's flags name: photos, a video or a camera."""

import re
from collections.abc import Iterator
from pathlib import Path

from utils.cli import InputError, describe_error, warn
from utils.media.albums import describe_unread, list_unread
from utils.media.camera import Camera, LiveSource, PacedVideo, is_url, without_password
from utils.media.images import list_images, read_image
from utils.media.pipes import is_pipe
from utils.media.video import Frame, VideoSource
from utils.storage import is_remote

MAX_CAMERA_INDEX = 1 << 16  # larger numbers are no camera, and OpenCV cannot take them


class PhotoSource:
    """One photo, or the photos of a folder. Unreadable photos of a folder are skipped with a warning."""

    live = False
    rate = None

    def __init__(self, path: Path):
        if not path.exists():
            raise InputError(f"{path} does not exist")
        self.name = str(path)
        self.single = not path.is_dir()
        self.paths = [path] if self.single else list_images(path)
        self.unread = [] if self.single else list_unread(path)  # what a folder holds besides photos
        if not self.paths:
            raise InputError(f"{path} has no photos; {describe_unread(self.unread)}".removesuffix("; "))
        if self.single:
            is_pipe(path)  # raises for a device

    def frames(self) -> Iterator[Frame]:
        index = 0
        while (frame := self.photo(index)) is not None:
            yield frame
            index += 1

    def photo(self, index: int) -> Frame | None:
        """The photo with this number, from 0, among those that can be read; None after the last."""
        while index < len(self.paths):
            try:
                return Frame(read_image(self.paths[index]), 0.0, self.paths[index].name, index)
            except (InputError, OSError) as exc:
                if self.single:
                    raise
                warn(f"skipped: {describe_error(exc)}")
                del self.paths[index]
        return None

    def close(self) -> None:
        pass


Source = PhotoSource | VideoSource | LiveSource


def open_source(
    camera: str, video_path: Path | None, image_path: Path | None, realtime: bool = False, give_up: float = 0.0
) -> Source:
    """Open photos if `image_path` is given, else a video if `video_path` is given, else a camera.

    Args:
        camera: an index, a device path or a URL.
        video_path: a video file, or None.
        image_path: a photo or a folder of photos, or None.
        realtime: play the video at its own speed instead of frame by frame.
        give_up: seconds after which a lost camera is no longer retried; 0 retries forever.

    Raises:
        InputError: a source cannot be opened.
    """
    for flag, path in (("--image_path", image_path), ("--video_path", video_path)):
        # The address is not repeated in the message because it may hold a password.
        if path and is_address(path):
            raise InputError(f"{flag} takes a file; for an address use --camera")
    if image_path:
        return PhotoSource(image_path)
    if video_path:
        return PacedVideo(video_path) if realtime else VideoSource(video_path)
    return open_camera(camera, give_up)


def is_address(path: Path) -> bool:
    """Whether a path was meant as a camera's address. A Path keeps one slash of "//", and one letter is a drive."""
    return not is_remote(path) and re.match(r"[a-z]{2,}:/", str(path), re.IGNORECASE) is not None


def open_camera(camera: str, give_up: float = 0.0) -> Camera:
    """Open the camera that `--camera` names. Raises InputError."""
    if any("\ud800" <= letter <= "\udfff" for letter in camera):  # bytes that are no text crash OpenCV
        raise InputError(f"--camera must be text in UTF-8. Received: {without_password(camera)!a}")
    if camera.isdecimal():
        # Python refuses to convert thousands of digits.
        return Camera(min(int(camera), MAX_CAMERA_INDEX) if len(camera) < 10 else MAX_CAMERA_INDEX, give_up)
    if not is_url(camera) and not camera.startswith("/dev/"):
        received = repr(without_password(camera))
        raise InputError(f"--camera must be an index, a device such as /dev/video1, or a URL. Received: {received}")
    return Camera(camera, give_up)


def is_mirrored(choice: int | None, camera: str, video_path: Path | None) -> bool:
    """Whether to mirror the picture in the window: as chosen, else for a camera of this machine only."""
    return bool(choice) if choice is not None else video_path is None and not is_url(camera)
