"""Which source of frames a script's flags name: photos, a video or a camera."""

import re
from collections.abc import Iterator
from pathlib import Path

from utils.cli import InputError, warn
from utils.media.camera import Camera, PacedVideo, is_url, without_password
from utils.media.images import list_images, read_image
from utils.media.video import Frame, VideoSource

MAX_CAMERAS = 1 << 16  # indices beyond are no camera, and no number that OpenCV takes


class PhotoSource:
    """The photos of a folder, or one; unreadable ones are named on stderr and skipped."""

    live = False
    rate = None

    def __init__(self, path: Path):
        path = Path(path)
        if not path.exists():
            raise InputError(f"{path} does not exist")
        self.paths = list_images(path) if path.is_dir() else [path]
        if not self.paths:
            raise InputError(f"{path} has no photos")
        self.single = not path.is_dir()

    def frames(self) -> Iterator[Frame]:
        index = 0
        for path in self.paths:
            try:
                image = read_image(path)
            except (InputError, OSError) as exc:
                if self.single:
                    raise InputError(str(exc)) from None
                warn(f"skipped: {exc}")
                continue
            yield Frame(image, 0.0, path.name, index)
            index += 1

    def close(self) -> None:
        pass


def open_camera(camera: str, give_up: float = 0.0) -> Camera:
    """The camera that `--camera` names. Raises InputError."""
    if camera.isdecimal():
        return Camera(min(int(camera), MAX_CAMERAS), give_up)
    if not is_url(camera) and not camera.startswith("/dev/"):
        received = repr(without_password(camera))
        raise InputError(f"--camera must be an index, a device such as /dev/video1, or a URL. Received: {received}")
    return Camera(camera, give_up)


def open_source(camera: str, video_path: Path | None, image_path: Path | None, realtime=False, give_up: float = 0.0):
    """The source that the flags name: photos, a video (at its own speed if `realtime`), or else the camera.

    Raises InputError.
    """
    for flag, path in (("--image_path", image_path), ("--video_path", video_path)):
        # Not told back: an address may hold a password. Of "//" a path keeps one slash; one letter is a drive.
        if path and re.match(r"[a-z]{2,}:/", str(path), re.IGNORECASE):
            raise InputError(f"{flag} takes a file, an address goes to --camera")
    if image_path:
        return PhotoSource(image_path)
    if video_path:
        return PacedVideo(video_path) if realtime else VideoSource(video_path)
    return open_camera(camera, give_up)


def is_mirrored(choice: int | None, camera: str, video_path: Path | None) -> bool:
    """Whether a picture is shown as a looking glass does: as chosen, else where people see themselves."""
    return bool(choice) if choice is not None else video_path is None and not is_url(camera)
