"""Work on a camera's newest frame, in a thread of its own: whoever shows the frames does not wait for it."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from utils.media.video import Frame


class FrameWorker:
    """Calls `work` with a camera's newest frame, again and again; frames that come meanwhile are left out.

    `finished` hands over what it returned, in order, since the last call. An error of it is raised there.
    """

    def __init__(self, work: Callable[[Frame], Any], camera, name: str):
        self.work, self.camera = work, camera
        self._done: queue.SimpleQueue = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._stop = threading.Event()
        camera.start()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def finished(self) -> list:
        if self._error is not None:
            raise self._error
        return [self._done.get_nowait() for _ in range(self._done.qsize())]

    def _run(self) -> None:
        try:
            index = -1
            while not self._stop.is_set():
                frame = self.camera.newest(after=index, timeout=0.1)
                if frame is not None:
                    index = frame.index
                    self._done.put(self.work(frame))
        except BaseException as exc:  # raised where the main thread sees it
            self._error = exc

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
