"""Work on a camera's newest frame in a thread of its own, so that the window never waits for it."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from utils.media.camera import LiveSource
from utils.media.video import Frame


class FrameWorker:
    """Calls a function with a camera's newest frame, again and again. Frames that arrive meanwhile are skipped."""

    def __init__(self, work: Callable[[Frame], Any], camera: LiveSource, name: str):
        """Start the camera and the worker. name: the thread's."""
        self.work, self.camera = work, camera
        self._results: queue.SimpleQueue = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._stop = threading.Event()
        camera.start()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def finished(self) -> list:
        """The results since the last call, in order. Raises the error of the function or the camera."""
        if self._error is not None:
            raise self._error
        return [self._results.get_nowait() for _ in range(self._results.qsize())]

    def _run(self) -> None:
        try:
            index = -1
            while not self._stop.is_set():
                frame = self.camera.newest(after=index, timeout=0.1)
                if frame is not None:
                    index = frame.index
                    self._results.put(self.work(frame))
        except BaseException as exc:  # raised in `finished`, in the caller's thread
            self._error = exc

    def close(self) -> None:
        """Stop after the frame in progress."""
        self._stop.set()
        self._thread.join(timeout=30)
