"""What the benchmarks share: runs in turn, whole processes with their memory, the processor's peak, tables."""

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
    """What something took: seconds by the clock, and of all processor cores together."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Process(Cost):
    """What a process took and printed. peak: its largest resident memory in MB."""

    peak: float
    output: str


def timed(function: Callable[[], object]) -> Cost:
    """One call, in this process, threads included."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def in_turn(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, Cost]:
    """The median cost of each function, called in turn so that a slow minute of the machine hits all alike.

    The first round is not counted: it compiles and warms up.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            cost = timed(function)
            if turn:
                costs[name].append(cost)
    return {name: median(found) for name, found in costs.items()}


def median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


# A process counts the memory of the one that started it as its own, up to its start. So a small one
# starts it, and tells what it took.
_LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as file:
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss, file=file)
os._exit(os.waitstatus_to_exitcode(status) % 256)
"""


def run_process(*words) -> Process:
    """A script of the suite as a process of its own, from its start to its end. Raises RuntimeError if it fails."""
    with tempfile.NamedTemporaryFile() as figures:
        command = [sys.executable, *map(str, words)]
        launcher = [sys.executable, "-S", "-c", _LAUNCHER, figures.name, *command]
        start = time.perf_counter()
        result = subprocess.run(launcher, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wall = time.perf_counter() - start
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with status {result.returncode}: {result.stdout[-500:]}")
        cpu, peak = map(float, Path(figures.name).read_text().split())
    kilobytes = peak / 1024 if sys.platform == "darwin" else peak  # macOS counts bytes
    return Process(wall, cpu, kilobytes / 1024, result.stdout)


def matrix_product(dtype: str, size: int = 4096) -> Callable[[], object]:
    """A function of TensorFlow's that multiplies two square matrices: 2·size³ operations, the processor's most."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.stateless_uniform((size, size), (0, 0)), dtype)
    multiply = tf.function(lambda m: tf.matmul(m, m)[0, 0])
    return lambda: multiply(matrix).numpy()


def print_table(columns: list[str], rows: list[list]) -> None:
    """The rows under their columns, the first left-aligned, as text and as Markdown alike."""
    texts = [[cell if isinstance(cell, str) else f"{cell:.4g}" for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [columns, *texts]) for i in range(len(columns))]
    for number, row in enumerate([columns, ["-" * width for width in widths], *texts]):
        cells = [
            f"{cell:<{w}}" if i == 0 or number == 1 else f"{cell:>{w}}"
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def write_result(path: Path | None, content: dict) -> None:
    """Write a benchmark's figures as JSON, with the machine that they are of."""
    if path is None:
        return
    import platform

    from utils.files import write_json

    machine = {"processor": processor_name(), "cores": os.cpu_count(), "system": platform.platform()}
    write_json(path, {"machine": machine} | content)
    print(f"{path} written")


def processor_name() -> str:
    """The processor as Linux names it, or as Python does elsewhere."""
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
