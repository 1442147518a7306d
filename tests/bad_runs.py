"""Run scripts on bad inputs, and count what happens."""

import importlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from utils.cli import visible


@dataclass(frozen=True)
class Run:
    """How a script ended."""

    status: int | None  # None after an exception
    out: str
    err: str
    trace: str  # of an exception that the script let out

    @property
    def printed(self) -> str:
        return self.out + self.err

    def names(self, name: str) -> bool:
        """Whether the script printed a line with a file's name and a reason behind it."""
        shown = visible(name).encode("utf-8", "backslashreplace").decode()
        return any(line.partition(f"{shown}: ")[2].strip() for line in self.printed.splitlines())


class Tally:
    """Counts what really happened, for the table of benchmarks/faults.py."""

    def __init__(self, record: Callable[[str, object], None]):
        self._record = record

    def add(self, what: str, count: int = 1) -> None:
        self._record(what, count)

    def bad_inputs(self, tried: Sequence[str], handled: Sequence[str]) -> None:
        """Count inputs that were tried, and those of them that were named with a reason or read right."""
        self.add("bad inputs tried", len(tried))
        self.add("bad inputs handled", len(set(tried) & set(handled)))

    def good_images(self, given: Sequence[str], lost: Sequence[str]) -> None:
        """Count good images and videos that stood among bad ones, or had odd names, and those that got lost."""
        self.add("good images", len(given))
        self.add("images lost", len(lost))


def run_main(capfd: pytest.CaptureFixture, tally: Tally, script: str, *words: object) -> Run:
    """Run a script's main as a user would: it has to end with 0 or 2, or verify.py with 1, and without a traceback."""
    status, trace = None, ""
    capfd.readouterr()
    try:
        status = importlib.import_module(script).main([str(word) for word in words])
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        trace = traceback.format_exc()
    printed = capfd.readouterr()
    trace += printed.err if "Traceback" in printed.err else ""
    tally.add("runs")
    tally.add("tracebacks", int(bool(trace)))
    assert not trace, trace
    assert status in (0, 2) or (script == "verify" and status == 1), printed
    return Run(status, printed.out, printed.err, trace)
