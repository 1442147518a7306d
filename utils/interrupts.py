"""End a run by Ctrl-C or a signal, without losing the signal and without crashing a library.

SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt where they arrive. Two things can go wrong there: a bare `except`
or a callback of the garbage collector swallows the exception, or it escapes from the middle of native code, which
can crash the process. So a signal is also remembered: loops call `check` at every frame, image and step, and
libraries load and compute inside `deferred`, which raises when they are done. Work that can end itself at a good
place, such as a training, runs inside `handled_by`. A second signal always raises at once.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

UnraisableHook = Callable[["sys.UnraisableHookArgs"], object]
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class _State:
    pending = False  # whether a signal has arrived since `install`
    deferrals = 0  # nested `deferred` blocks of the main thread
    act: Callable[[], None] | None = None  # of the `handled_by` block, if there is one


def install() -> None:
    """Let the signals end this run. A signal that is ignored, as SIGHUP under nohup, stays ignored."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can catch signals
        return
    _State.pending, _State.deferrals, _State.act = False, 0, None
    _handle_signals(_receive)


def end_process(status: int) -> None:
    """End the process without Python's taking its libraries apart.

    That takes 0.05 s and more with OpenVINO, and crashes if a thread is still inside of one. Threads that are no
    daemons are waited for, and what is registered with `atexit` runs, as at every end of Python.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # the reader has closed the pipe
            stream.flush()
    os._exit(status)


def end_at_signals(status: int) -> None:
    """From now on let a signal end the process at once: everything is saved, and Python is only cleaning up."""
    if threading.current_thread() is threading.main_thread():
        _handle_signals(lambda *_: os._exit(status))


def _handle_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _receive(number: int, frame: FrameType | None) -> None:
    again, _State.pending = _State.pending, True
    if again:  # a second signal does not wait
        raise KeyboardInterrupt
    if _State.act is not None:
        _State.act()
    elif not _State.deferrals:
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
    """Hold a first signal back until the block ends. Use it around native code that must not be interrupted.

    A signal that arrived before the block is not raised again: what runs then is saving what is finished.
    """
    if threading.current_thread() is not threading.main_thread():  # its handlers run in the main thread anyway
        yield
        return
    arrived_before = _State.pending
    _State.deferrals += 1
    try:
        yield
    finally:
        _State.deferrals -= 1
        if not _State.deferrals and not arrived_before:
            check()


@contextlib.contextmanager
def handled_by(act: Callable[[], None]) -> Iterator[None]:
    """Have a first signal call `act` instead of raising. A signal that was swallowed earlier is raised here.

    `is_pending` says afterwards whether there was one.
    """
    check()
    _State.act = act
    try:
        yield
    finally:
        _State.act = None


def hide_swallowed(hook: UnraisableHook) -> UnraisableHook:
    """A `sys.unraisablehook` that does not print a KeyboardInterrupt: it is pending, and `check` raises it again."""

    def hidden(args: "sys.UnraisableHookArgs") -> None:
        if not issubclass(args.exc_type, KeyboardInterrupt):
            hook(args)

    return hidden
