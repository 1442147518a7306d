"""Work that runs ahead: threads prepare what comes next while the caller uses what is ready."""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def map_ahead(function: Callable, items: Iterable, jobs: int | None = None, ahead: int = 64) -> Iterator:
    """Yield function(item) in order, computed by `jobs` threads at most `ahead` items early.

    Reading, decoding and cropping release Python's lock, so they overlap with the network; the
    bound keeps memory flat whatever the number of items. jobs: None for one a processor core.
    """
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        pending: deque = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # the caller stopped early: drop what has not begun
            pool.shutdown(wait=False, cancel_futures=True)


def read_ahead(items: Iterable, ahead: int = 8) -> Iterator:
    """Yield the items in order, taken by one thread at most `ahead` early; its exception is raised here."""
    ready: queue.Queue = queue.Queue(ahead)
    stop, end = threading.Event(), object()

    def put(item) -> None:
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


class BackgroundWriter:
    """One thread that writes while the caller computes: a disk that takes its time then costs none.

    A write that failed raises its exception in the caller, at the next `submit` or at the end. Leaving
    the block waits for what is still to be written.
    """

    def __init__(self, most_pending: int = 64):
        self.pool = ThreadPoolExecutor(1)
        self.pending: deque = deque()
        self.most_pending = most_pending  # a bound on what waits in memory

    def submit(self, function: Callable, *arguments) -> None:
        self.pending.append(self.pool.submit(function, *arguments))
        while self.pending and (self.pending[0].done() or len(self.pending) > self.most_pending):
            self.pending.popleft().result()

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, kind, *_) -> None:
        self.pool.shutdown(wait=True)
        for write in self.pending:
            if kind is None:  # the first exception is the one to tell
                write.result()
