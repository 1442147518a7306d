"""Threads that work ahead of the caller, or write behind it."""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from utils import interrupts
from utils.storage import READERS, is_remote

Loaded = TypeVar("Loaded")

_limits: list[int] = []  # what `limit_cores` was called with


def limit_cores(count: int) -> None:
    """Let this process use only some of the processor cores, because others share the machine with it."""
    _limits[:] = [count]


def core_limit() -> int | None:
    """How many processor cores this process may use; None for all."""
    return _limits[0] if _limits else None


def core_count() -> int:
    """How many processor cores this process uses."""
    return core_limit() or os.cpu_count() or 1


def limit_blas() -> None:
    """Let NumPy, if it is not imported yet, multiply matrices in one thread.

    Its others spin for a while when they start and after each large product, on the cores that the networks need:
    with 1,000 people a frame of test.py took twice as long, and verify.py starts 0.05 s later.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def map_ahead(function: Callable, items: Iterable, jobs: int | None = None, ahead: int = 64) -> Iterator:
    """Yield function(item) in order, computed by `jobs` threads up to `ahead` items early.

    Reading, decoding and cropping release Python's lock, so they overlap with the network. The bound keeps
    memory flat for any number of items. jobs: None for one thread per processor core.
    """
    with ThreadPoolExecutor(jobs or core_count()) as pool:
        pending: deque = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                interrupts.check()
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                interrupts.check()
                yield pending.popleft().result()
        finally:  # the caller stopped early: drop the work that has not started
            pool.shutdown(wait=False, cancel_futures=True)


def map_stored(function: Callable, items: Iterable, folder: Path) -> Iterator:
    """Yield function(item) in order; if the folder is at an address, many at once, as each waits for an answer."""
    return map_ahead(function, items, READERS) if is_remote(folder) else map(function, items)


def read_ahead(items: Iterable, ahead: int = 8) -> Iterator:
    """Yield the items in order, read by one thread up to `ahead` items early. Raises the exceptions of that thread."""
    ready: queue.Queue = queue.Queue(ahead)
    stop, end = threading.Event(), object()

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                pass

    def run() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
            put(end)
        except BaseException as exc:
            put(exc)

    thread = threading.Thread(target=run, name="reader", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not end:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


class Loading(Generic[Loaded]):
    """Loads something in a thread of its own. The run does not wait for it if it ends before."""

    def __init__(self, load: Callable[[], Loaded]):
        self._load = load
        self._loaded: list[Loaded] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loaded.append(self._load())
        except BaseException as exc:  # raised in `result`, in the caller's thread
            self._error = exc

    @property
    def done(self) -> bool:
        """Whether `result` need not wait."""
        return not self._thread.is_alive()

    def result(self) -> Loaded:
        """What was loaded. Raises the error if that failed."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._loaded[0]


class BackgroundWriter:
    """Threads that write while the caller computes, so that a slow disk, or a storage far away, costs no time.

    The exception of a failed write is raised in the caller, by the next `submit` or at the end. Leaving the
    block waits for pending writes.
    """

    def __init__(self, max_pending: int = 64, threads: int = 1):
        self.pool = ThreadPoolExecutor(threads)
        self.pending: deque = deque()
        self.max_pending = max_pending  # writes that may wait in memory

    def submit(self, function: Callable, *arguments: object) -> None:
        self.pending.append(self.pool.submit(function, *arguments))
        while self.pending and (self.pending[0].done() or len(self.pending) > self.max_pending):
            self.pending.popleft().result()

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self.pool.shutdown(wait=True)
        for write in self.pending:
            if error_type is None:  # else the first exception is the one to report
                write.result()
