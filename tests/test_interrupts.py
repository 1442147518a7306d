"""Signals: raised where they arrive, held back while a library works, and never lost."""

import contextlib
import os
import signal
from types import SimpleNamespace

import pytest

from utils import interrupts


@pytest.fixture(autouse=True)
def installed():
    """The handlers of a run, and those of pytest afterwards."""
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    interrupts.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.kill
@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_raises_where_it_arrives(number):
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert interrupts.is_pending()


@pytest.mark.kill
def test_a_swallowed_signal_is_raised_by_the_next_check():
    interrupts.check()  # nothing has arrived yet
    with contextlib.suppress(BaseException):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()


@pytest.mark.kill
def test_a_signal_waits_for_the_library():
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        with interrupts.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append("inner")
        steps.append("outer")
    assert steps == ["inner", "outer"]


@pytest.mark.kill
def test_a_second_signal_does_not_wait():
    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal was held back")


@pytest.mark.kill
def test_saving_after_a_signal_is_not_stopped_again():
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    with interrupts.deferred():  # the network and the file of what is finished
        pass


@pytest.mark.kill
def test_work_that_ends_itself_is_asked_to_once():
    calls = []
    with interrupts.handled_by(lambda: calls.append("stop")):
        os.kill(os.getpid(), signal.SIGHUP)
        assert calls == ["stop"] and interrupts.is_pending()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert calls == ["stop"]
    interrupts.install()
    with pytest.raises(KeyboardInterrupt), interrupts.handled_by(pytest.fail), contextlib.suppress(ValueError):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):  # nothing is left behind
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.kill
def test_a_signal_that_was_swallowed_starts_no_work():
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupts.handled_by(pytest.fail):
        pytest.fail("the work was started")


def test_only_swallowed_interrupts_are_hidden():
    shown = []
    hook = interrupts.hide_swallowed(shown.append)
    for error in (KeyboardInterrupt, ValueError):
        hook(SimpleNamespace(exc_type=error))
    assert [args.exc_type for args in shown] == [ValueError]


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts.install()
    os.kill(os.getpid(), signal.SIGHUP)
    assert not interrupts.is_pending()


def test_a_new_run_starts_without_the_old_signal():
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    interrupts.install()
    interrupts.check()
