"""Recognize a camera's frames while the models are still loading: at first only the boxes of faces, then names."""

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from utils import interrupts
from utils.display.viewers import KEY_WAIT_SECONDS, REDRAW_SECONDS, Screen
from utils.faces.detection import Detector
from utils.faces.motion import gray_copy
from utils.live.controls import AnyLiveControls, LiveControls
from utils.media.camera import LiveSource
from utils.media.frame_worker import FrameWorker
from utils.media.video import Frame
from utils.recognition.recognizer import BackgroundRecognizer, NamedFace, RecognizedFrame, Recognizer
from utils.threads import Loading

FIND_INTERVAL = 0.2  # seconds between two searches, because loading needs the processor more
FIRST_PICTURE_SECONDS = 0.5  # for a camera's first picture; without it the window opens, and loading starts

AnyRecognizer = TypeVar("AnyRecognizer", bound=Recognizer)


class StartingRecognizer:
    """A BackgroundRecognizer that has to load its models. Until then it only finds faces."""

    def __init__(
        self,
        load_detector: Callable[[], Detector],
        load: Callable[[Detector], Recognizer],
        camera: LiveSource,
        began: Callable[[Recognizer], object] = lambda recognizer: None,
    ):
        """Nothing is loaded before `start_behind`.

        Args:
          load_detector: loads what finds the faces, which is quick.
          load: loads the rest, given the detector.
          camera: the source of the frames.
          began: called with the recognizer, by `finished`, before its first frame.
        """
        self._load_detector, self._load_rest, self.camera, self._began = load_detector, load, camera, began
        self._loading: Loading[Recognizer] | None = None
        self._finder: FrameWorker | None = None
        self._wait = 0.0  # seconds before the finder's next search
        self._loaded = threading.Event()  # or given up
        self._background: BackgroundRecognizer | None = None

    def start_behind(self, screen: Screen[LiveControls]) -> None:
        """Start to load, in a thread of its own, as soon as the window shows the camera's first picture or none."""
        screen.controls.loading = True
        self.camera.start()
        screen.show(self.camera.newest(timeout=FIRST_PICTURE_SECONDS) or self.camera.blank(), [])
        screen.handle_keys(KEY_WAIT_SECONDS)
        self._loading = Loading(self._load)

    def _load(self) -> Recognizer:
        detect = self._load_detector()
        self._finder = FrameWorker(partial(self._find, detect), self.camera, "finder")
        try:
            return self._load_rest(detect)
        finally:
            self._loaded.set()
            self._finder.close()

    def _find(self, detect: Detector, frame: Frame) -> RecognizedFrame:
        """Find the faces of a frame: of the first one at once, then now and then."""
        self._loaded.wait(self._wait)
        self._wait = FIND_INTERVAL
        faces = [NamedFace(face.box, None, 0.0) for face in detect(frame.image)]
        return RecognizedFrame(frame, gray_copy(frame.image), faces)

    @property
    def ready(self) -> bool:
        """Whether the models are loaded, so that the faces have names."""
        return self._background is not None

    def finished(self) -> list[RecognizedFrame]:
        """The frames since the last call, without names before `ready`. Raises the error if something fails."""
        if self._background is None and self._loading is not None and self._loading.done:
            recognizer = self._loading.result()
            self._began(recognizer)
            self._background = BackgroundRecognizer(recognizer, self.camera)
        worker = self._background or self._finder
        return worker.finished() if worker else []

    def close(self) -> None:
        """Stop after the frame in progress. What is still being loaded is left behind."""
        self._loaded.set()
        for worker in (self._finder, self._background):
            if worker:
                worker.close()


def load_behind(
    load: Callable[[], AnyRecognizer], screen: Screen[AnyLiveControls], frame: Frame
) -> AnyRecognizer | None:
    """Show a frame until a recognizer is loaded; None if the user quits before. Raises the error of `load`."""
    screen.controls.loading = True
    screen.show(frame, [])
    screen.handle_keys(KEY_WAIT_SECONDS)
    loading = Loading(load)
    while not (screen.controls.quit or loading.done):
        interrupts.check()
        screen.show(frame, [])
        screen.handle_keys(REDRAW_SECONDS)
    screen.controls.loading = False
    return None if screen.controls.quit else loading.result()
