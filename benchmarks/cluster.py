"""Compare selfies2face.py and extract_features.py on a Ray cluster with the same without one, and take workers away.

  python benchmarks/cluster.py --selfies photos --model_path models/sface --json cluster.json
  python benchmarks/cluster.py --selfies photos --model_path models/sface --kill --json kill.json

Both run as whole processes, in turn, on all cores of this machine. Start-up is a run on one photo; it is subtracted
from rates. Memory is that of all processes of a run together, at its highest. --kill starts two machines with half of
the cores each, as processes on this one, kills a worker after a quarter of the files and a machine after half of them.
Every result is compared with that of the local run, file by file.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import measure  # puts the project's root on the import path

from utils.cli import InputError, bounded, clean_exit, file_path, script_parser

if TYPE_CHECKING:
    from ray._private.node import Node
    from ray.cluster_utils import Cluster

SAMPLE_SECONDS = 0.5  # between two looks at a run


@dataclass(frozen=True)
class Run:
    """A script's run."""

    seconds: float  # from its start to its end
    cpu: float  # seconds of all its processes together, which other work on the machine changes less
    megabytes: float  # of all its processes together, at the highest


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--selfies", required=True, type=file_path, help="folder with a folder of photos per person")
    parser.add_argument("--model_path", required=True, type=file_path, help="extractor saved by network.py")
    parser.add_argument("--repeats", type=bounded(int, 1), default=1, help="runs of each, of which the fastest counts")
    parser.add_argument("--kill", action="store_true", help="take a worker and a machine away, and compare the files")
    parser.add_argument("--json", type=file_path, help="JSON file to write")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.media.images import list_images, list_people

    photos = [image for person in list_people(args.selfies) for image in list_images(person)]
    with tempfile.TemporaryDirectory(prefix="bench_", dir="/tmp") as folder:
        scratch = Path(folder)
        one = scratch / "one" / photos[0].parent.name / photos[0].name
        one.parent.mkdir(parents=True)
        one.symlink_to(photos[0].resolve())
        if args.kill:
            result = kill_in_the_middle(args.selfies, args.model_path, scratch)
        else:
            result = compare(args.selfies, one.parents[1], args.model_path, scratch, args.repeats)
    measure.write_result(args.json, {"photos": len(photos), **result})
    return 0


def command(script: str, source: Path, model: Path, goal: Path) -> list:
    """The words of a script's run."""
    if script == "selfies2face":
        return ["selfies2face.py", "-s", source, "-p", goal, "--largest"]
    return ["extract_features.py", "-p", source, "-m", model, "-f", goal]


def run(words: list, watch: Callable[[], object] = lambda: None) -> Run:
    """Run a script in a session of its own. watch: is called while it runs."""
    start, highest, cpu = time.perf_counter(), 0.0, 0.0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *map(str, words)], cwd=measure.ROOT, stdout=output, stderr=output, start_new_session=True
        )
        ended = threading.Event()
        threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
        while not ended.wait(SAMPLE_SECONDS):
            megabytes, seconds = session_usage(process.pid)
            highest, cpu = max(highest, megabytes), max(cpu, seconds)
            watch()
        seconds = time.perf_counter() - start
        output.seek(0)
        if process.returncode:
            raise InputError(f"{' '.join(map(str, words))} failed: {output.read()[-500:]}")
    return Run(seconds, cpu, highest)


def session_usage(session: int) -> tuple[float, float]:
    """The memory in MB, shared pages counted once, and the CPU seconds of a session's processes."""
    kilobytes, ticks = 0, 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()  # from the third on, see proc_pid_stat(5)
            if int(fields[3]) == session:
                lines = (status.parent / "smaps_rollup").read_text().splitlines()
                kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
                ticks += int(fields[11]) + int(fields[12])
        except OSError:  # it has ended
            continue
    return kilobytes / 1024, ticks / os.sysconf("SC_CLK_TCK")


def differences(first: Path, second: Path) -> int:
    """How many files of two folders differ, or are in one of them alone, hidden ones included."""
    from utils.files import file_sha256

    sums = [
        {path.relative_to(folder): file_sha256(path) for path in folder.rglob("*") if path.is_file()}
        for folder in (first, second)
    ]
    return len(sums[0].items() ^ sums[1].items())


def compare(selfies: Path, one: Path, model: Path, scratch: Path, repeats: int) -> dict:
    """Run both scripts with and without a cluster. Prints and returns the figures."""
    rows = []
    for script in ("selfies2face", "extract_features"):
        source = selfies if script == "selfies2face" else scratch / "selfies2face local"
        few = one if script == "selfies2face" else scratch / "selfies2face start local"
        measured = {}
        for kind, words in (("local", []), ("cluster", ["--cluster", "local"])):
            start = run([*command(script, few, model, scratch / f"{script} start {kind}"), *words, "--overwrite"])
            goal = scratch / f"{script} {kind}"
            runs = [run([*command(script, source, model, goal), *words, "--overwrite"]) for _ in range(repeats)]
            best = min(runs, key=lambda each: each.seconds)
            files = sum(1 for _ in source.rglob("*.*"))
            measured[kind] = files / (best.seconds - start.seconds), start, best
        different = differences(*(scratch / f"{script} {kind}" for kind in measured))
        ratio = measured["cluster"][0] / measured["local"][0]
        for kind, (rate, start, best) in measured.items():
            cost = [start.seconds, best.seconds, best.cpu, best.megabytes]
            rows.append([f"{script} {kind}", rate, *cost, ratio if kind == "cluster" else 1.0, different])
    columns = ["what", "files/s", "start-up s", "in all s", "CPU s", "MB", "of local", "differing files"]
    measure.print_table(columns, [[str(cell) if isinstance(cell, int) else cell for cell in row] for row in rows])
    return {"table": [dict(zip(columns, row, strict=True)) for row in rows]}


def kill_in_the_middle(selfies: Path, model: Path, scratch: Path) -> dict:
    """Run both scripts on two machines, of which one loses its worker and is then lost itself."""
    rows = []
    cores = max(1, (os.cpu_count() or 1) // 2)
    with machines(scratch, cores) as cluster:
        for script in ("selfies2face", "extract_features"):
            source = selfies if script == "selfies2face" else scratch / "selfies2face local"
            goals = [scratch / f"{script} {kind}" for kind in ("local", "cluster")]
            run(command(script, source, model, goals[0]))
            drill = Drill(cluster, goals[1], sum(1 for path in goals[0].rglob("*.*") if path.is_file()))
            run([*command(script, source, model, goals[1]), "--cluster", cluster.address], drill)
            rows.append([script, str(drill.files), *map(str, drill.killed_at), str(differences(*goals))])
            add_machine(cluster, cores)  # in place of the lost one
    columns = ["what", "files", "worker killed at", "machine killed at", "differing files"]
    measure.print_table(columns, rows)
    return {"kills": [dict(zip(columns, row, strict=True)) for row in rows]}


class Drill:
    """Kills the worker of one machine after a quarter of a run's files, and another machine after half of them."""

    def __init__(self, cluster: "Cluster", goal: Path, files: int):
        self.cluster, self.goal, self.files = cluster, goal, files
        self.killed_at: list[int] = []  # files that there were: at the worker's end, at the machine's

    def __call__(self) -> None:
        done = sum(path.is_file() and path.name[0] != "." for path in self.goal.rglob("*.*"))
        worker_nodes = [node for node in self.cluster.list_all_nodes() if node is not self.cluster.head_node]
        if not self.killed_at and done >= self.files / 4:
            kill_worker(worker_nodes[0])
        elif len(self.killed_at) == 1 and done >= self.files / 2:
            self.cluster.remove_node(worker_nodes[1], allow_graceful=False)
        else:
            return
        self.killed_at.append(done)


def kill_worker(node: "Node") -> None:
    """Kill the process in which a machine of a cluster works."""
    import psutil

    (raylet,) = node.all_processes["raylet"]
    for child in psutil.Process(raylet.process.pid).children():
        if "_Worker" in " ".join(child.cmdline()):
            child.kill()


@contextlib.contextmanager
def machines(scratch: Path, cores: int) -> Iterator["Cluster"]:
    """A Ray cluster on this machine, of a head that does no work; see `add_machine`."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_TMPDIR"] = str(scratch)
    (scratch / "ray").mkdir()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            add_machine(cluster, cores)
        yield cluster
    finally:
        cluster.shutdown()


def add_machine(cluster: "Cluster", cores: int) -> None:
    cluster.add_node(num_cpus=cores, include_dashboard=False)


if __name__ == "__main__":
    sys.exit(main())
