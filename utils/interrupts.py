"""End a run by Ctrl-C or a signal, without losing the signal and without crashing a library.

SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt where they arrive. Two things can go wrong there: a bare `except`
or a callback of the garbage collector swallows the exception, or it escapes from the middle of native code, which
can crash the process. So a signal is also remembered: loops call `check` at every frame, image and step, and
libraries load and compute inside `deferred`, which raises when they are done.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class _State:
    pending = False  # whether a signal has arrived since `install`
    deferrals = 0  # nested `deferred` blocks of the main thread


def install() -> None:
    """Let the signals end this run. A signal that is ignored, as SIGHUP under nohup, stays ignored."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can catch signals
        return
    _State.pending, _State.deferrals = False, 0
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _receive)


def _receive(number: int, frame: FrameType | None) -> None:
    again, _State.pending = _State.pending, True
    if again or not _State.deferrals:  # a second signal does not wait
        raise KeyboardInterrupt


def is_pending() -> bool:
    """Whether a signal has arrived that ends this run."""
    return _State.pending


def check() -> None:
    """Raise KeyboardInterrupt if a signal has arrived, even if its own exception was swallowed."""
    if _State.pending:
        raise KeyboardInterrupt


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold a first signal back until the block ends. Use it around native code that must not be interrupted."""
    if threading.current_thread() is not threading.main_thread():  # its handlers run in the main thread anyway
        yield
        return
    _State.deferrals += 1
    try:
        yield
    finally:
        _State.deferrals -= 1
        if not _State.deferrals:
            check()
