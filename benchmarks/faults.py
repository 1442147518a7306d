"""Count bad inputs, hostile files, kills and faults, and what became of them: the figures of docs/reliability.md.

  python benchmarks/faults.py

Runs the tests that are marked so and counts what they report. Every figure is counted in this run.
"""

import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("bad_input", "hostile", "kill", "fault", "privacy")


class Counts:
    """A pytest plugin: sums what tests report, and counts the tests that report nothing as one try each."""

    def __init__(self):
        self.sums: Counter[str] = Counter()  # by what tests report
        self.tests: Counter[tuple[str, str]] = Counter()  # by mark and outcome
        self._failed: set[str] = set()  # ids of tests
        self._skipped: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called after the setup, the call and the teardown of each test."""
        if report.failed:
            self._failed.add(report.nodeid)
        if report.skipped:
            self._skipped.add(report.nodeid)
        if report.when != "teardown":
            return
        for name, count in report.user_properties:
            self.sums[name] += int(count)
        outcome = "failed" if report.nodeid in self._failed else "passed"
        if report.nodeid in self._skipped:
            outcome = "skipped"
        for mark in MARKS:
            self.tests[mark, outcome] += mark in report.keywords

    def table(self) -> list[tuple[str, int, str, int]]:
        """Rows of what was tried, how often, what became of it, and how often."""

        def ran(mark: str) -> int:
            return self.tests[mark, "passed"] + self.tests[mark, "failed"]

        tried, refused = (self.sums[f"hostile files {what}"] for what in ("tried", "refused"))
        bad = "bad inputs tried", "bad inputs handled"
        return [
            ("hostile files", tried + ran("hostile"), "refused", refused + self.tests["hostile", "passed"]),
            ("bad inputs", self.sums[bad[0]], "named with a reason, or read right", self.sums[bad[1]]),
            ("kills and signals", ran("kill"), "survived", self.tests["kill", "passed"]),
            ("faults injected", ran("fault"), "handled", self.tests["fault", "passed"]),
            ("scripts run on bad inputs", self.sums["runs"], "tracebacks", self.sums["tracebacks"]),
            ("good images beside bad ones", self.sums["good images"], "lost", self.sums["images lost"]),
            ("scripts traced", self.sums["scripts traced"], "bytes sent", self.sums["bytes sent"]),
        ]


def main() -> int:
    counts = Counts()
    words = ["-q", "-p", "no:cacheprovider", "-m", " or ".join(MARKS), "--rootdir", str(ROOT), str(ROOT / "tests")]
    status = pytest.main([*words, *sys.argv[1:]], plugins=[counts])
    print("\n| tried | number | what became of it | number |\n|---|---|---|---|")
    for row in counts.table():
        print("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in row) + " |")
    skipped = {mark: counts.tests[mark, "skipped"] for mark in MARKS if counts.tests[mark, "skipped"]}
    if skipped:
        print(f"tests skipped: {skipped}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
