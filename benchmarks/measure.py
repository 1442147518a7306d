"""Shared by the benchmarks: time functions and whole processes, the processor's peak performance, and tables."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # `python benchmarks/NAME.py` puts only this folder there


@dataclass(frozen=True)
class Cost:
    """Seconds that something took."""

    wall: float  # by the clock
    cpu: float  # of all processor cores together


@dataclass(frozen=True)
class Process(Cost):
    """What a process took and printed."""

    peak: float  # largest resident memory in MB
    output: str  # stdout and stderr


def timed(function: Callable[[], object]) -> Cost:
    """The cost of one call in this process, including its threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def in_turn(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, Cost]:
    """The median cost of each function. They take turns, so that a slow minute of the machine affects all of them.

    The first round compiles and warms up, and does not count.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            cost = timed(function)
            if turn:
                costs[name].append(cost)
    return {name: median(measured) for name, measured in costs.items()}


def median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


# The peak memory of a process includes that of its parent up to the fork. So a small process starts the one to be
# measured, and reports what it took.
_LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as file:
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss, file=file)
os._exit(os.waitstatus_to_exitcode(status) % 256)
"""


def run_process(*words: object) -> Process:
    """Run a script of this project as a process, from its start to its end. Raises InputError if it fails."""
    with tempfile.NamedTemporaryFile() as usage:
        command = [sys.executable, *map(str, words)]
        launcher = [sys.executable, "-S", "-c", _LAUNCHER, usage.name, *command]
        start = time.perf_counter()
        result = subprocess.run(launcher, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wall = time.perf_counter() - start
        if result.returncode:
            from utils.cli import InputError

            raise InputError(f"{' '.join(command)} ended with status {result.returncode}: {result.stdout[-500:]}")
        cpu, peak = map(float, Path(usage.name).read_text().split())
    kilobytes = peak / 1024 if sys.platform == "darwin" else peak  # macOS counts bytes
    return Process(wall, cpu, kilobytes / 1024, result.stdout)


def matrix_product(dtype: str, size: int = 4096) -> Callable[[], object]:
    """A TensorFlow function that multiplies two square matrices: 2·size³ operations, the most the processor can do."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.stateless_uniform((size, size), (0, 0)), dtype)
    multiply = tf.function(lambda m: tf.matmul(m, m)[0, 0])
    return lambda: multiply(matrix).numpy()


def print_table(columns: list[str], rows: list[list]) -> None:
    """Print rows as an aligned Markdown table, the first column left-aligned."""
    texts = [[cell if isinstance(cell, str) else f"{cell:.4g}" for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [columns, *texts]) for i in range(len(columns))]
    for index, row in enumerate([columns, ["-" * width for width in widths], *texts]):
        cells = [
            f"{cell:<{w}}" if i == 0 or index == 1 else f"{cell:>{w}}"
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def write_result(path: Path | None, content: dict) -> None:
    """Write the figures of a benchmark and the machine they were measured on as JSON."""
    if path is None:
        return
    import platform

    from utils.files import write_json

    machine = {"processor": processor_name(), "cores": os.cpu_count(), "system": platform.platform()}
    write_json(path, {"machine": machine} | content)
    print(f"{path} written")


def processor_name() -> str:
    """The name of the processor, from Linux if possible, otherwise from Python."""
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
