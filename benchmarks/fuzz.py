"""Feed altered files to the suite's readers: each must return a valid value or refuse the file in one line.

  python benchmarks/fuzz.py --minutes 5 --target pickle
  python benchmarks/fuzz.py --target image --replay fuzz_findings/image-17.bin

Valid files are altered at random (flipped bits, cuts, splices, odd integers, repeated blocks) and along their
structure: opcodes of pickles, members of model files, values of JSON, chunks of images. A child process reads them
one after another, with limits on time and memory. A finding is any other exception than a documented refusal, a
message of several lines or of a screenful, a value that is not valid, a crash, a hang and a memory bomb. Its input
is saved. Input number N of a target depends only on --seed and N.

Exit status: 0, or 1 if there are findings.
"""

import mmap
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fuzzing.worker import FINISHED, HEADER, MAX_INPUT, STOPPED, Job, Worker, save

from utils import interrupts
from utils.cli import InputError, bounded, clean_exit, file_path, script_parser

if TYPE_CHECKING:
    from fuzzing.target import Target

NAMES = ("pickle", "sidecar", "normalization", "head", "weights", "pairs", "names", "image", "video_header", "model")
NAMES += ("model_load", "onnx", "onnx_load")
PATIENCE = 60.0  # seconds on the clock without a new input, besides ten times the limit on CPU time


def build_parser():
    parser = script_parser(__doc__)
    parser.add_argument("--target", choices=(*NAMES, "all"), default="all", help="what to try")
    parser.add_argument("--minutes", type=bounded(float, 0), default=1, help="CPU time for each target")
    parser.add_argument("--seed", type=bounded(int, 0), default=0, help="same seed, same inputs")
    parser.add_argument("--output", type=file_path, default="fuzz_findings", help="folder for inputs that are findings")
    parser.add_argument("--replay", type=file_path, help="read only this file, and show what happens")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from fuzzing.targets import TARGETS

    if args.replay:
        if args.target == "all":
            raise InputError("--replay needs the --target that reads the file")
        return replay(TARGETS[args.target], args.replay)
    print("target          tried  accepted   refused  findings  CPU s", flush=True)
    found = 0
    for name in NAMES if args.target == "all" else (args.target,):
        run = Run(Job(name, TARGETS[name], args.seed, args.output), 60 * args.minutes)
        run.go()
        print(
            f"{name:13}{run.tried:8,}{run.accepted:10,}{run.refused:10,}{run.findings.total():10,}{run.cpu:7,.0f}",
            flush=True,
        )
        for kind, count in run.findings.most_common():
            print(f"  {count} × {kind}", flush=True)
        found += run.findings.total()
    return int(found > 0)


def replay(target: "Target", path: Path) -> int:
    """Read one file as the fuzzer does, without limits, and show the traceback of a finding."""
    target.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        try:
            target.read(path.read_bytes(), Path(folder))
        except target.refusals as exc:
            print(f"refused: {exc}")
        except BaseException:
            traceback.print_exc()
            return 1
        else:
            print("accepted")
    return 0


@dataclass
class Run:
    """The trial of one target, in one child process after another."""

    job: Job
    seconds: float  # of CPU
    tried: int = 0
    accepted: int = 0
    refused: int = 0
    cpu: float = 0.0  # seconds used by the children, which includes their start
    findings: Counter = field(default_factory=Counter)  # by kind

    def go(self) -> None:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            seeds = self._make_seeds(Path(folder, "seeds"))
            shared = mmap.mmap(-1, HEADER.size + MAX_INPUT)
            log = Path(folder, "log")
            start = 0
            while self.cpu < self.seconds:
                log.write_bytes(b"")
                number, status = self._run_child(Path(folder), seeds, shared, log, start)
                self._collect(log, shared, number, status)
                start = number + 1

    def _make_seeds(self, folder: Path) -> list[bytes]:
        """Make the valid files in a child, because some need libraries that must not be loaded before a fork."""
        folder.mkdir()
        pid = os.fork()
        if not pid:
            self._leave(lambda: self.job.target.seeds(folder) and None)
        if os.waitpid(pid, 0)[1]:
            raise InputError(f"the valid files for {self.job.name} cannot be made")
        seeds = [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]
        assert seeds
        return seeds

    @staticmethod
    def _leave(work: Callable[[], int | None], log: Path | None = None) -> NoReturn:
        """Work in a child and end it without the parent's cleaning up."""
        try:
            os._exit(work() or 0)
        except BaseException:
            with open(log or "/dev/stderr", "a") as file:
                traceback.print_exc(file=file)
            os._exit(1)

    def _run_child(self, folder: Path, seeds: list[bytes], shared: mmap.mmap, log: Path, start: int) -> tuple[int, int]:
        """Let a child read inputs from number `start` on. Returns the last one's number, and how it ended."""
        HEADER.pack_into(shared, 0, start, 0, 0, 0, 0)
        left, pid = self.seconds - self.cpu, os.fork()
        if not pid:
            self._leave(
                lambda: Worker(self.job, folder, seeds, shared, log).work(start, left),
                log,
            )
        patience, last, since = PATIENCE + 10 * self.job.target.seconds, -1, time.monotonic()
        while True:
            done, status, usage = os.wait4(pid, os.WNOHANG)
            number, _, tried, accepted, refused = HEADER.unpack_from(shared)
            if done:
                break
            if number != last:
                last, since = number, time.monotonic()
            if interrupts.is_pending() or time.monotonic() - since > patience:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        interrupts.check()
        self.cpu += usage.ru_utime + usage.ru_stime
        self.tried, self.accepted, self.refused = self.tried + tried, self.accepted + accepted, self.refused + refused
        return number, status

    def _collect(self, log: Path, shared: mmap.mmap, number: int, status: int) -> None:
        """Count what the child found, and its own end if that is a finding."""
        lines = log.read_text(errors="replace").splitlines()
        self.findings.update(line.removeprefix("finding: ") for line in lines if line.startswith("finding: "))
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) in (FINISHED, STOPPED):
            return
        if not os.WIFSIGNALED(status):
            kind = f"exit status {os.WEXITSTATUS(status)}"
        elif os.WTERMSIG(status) == signal.SIGPROF:
            kind = f"over {self.job.target.seconds:g} s of CPU"
        elif os.WTERMSIG(status) == signal.SIGKILL:
            kind = "hangs, or is killed"
        else:
            kind = signal.Signals(os.WTERMSIG(status)).name
        places = [line for line in lines if re.match(r'\s*File "', line)]  # of faulthandler, the innermost first
        if os.WIFEXITED(status):
            kind += f": {lines[-1] if lines else ''}, {places[-1] if places else ''}"
        elif places:
            kind += f" in {re.sub(r'.*/', '', places[0])}"
        size = HEADER.unpack_from(shared)[1]
        self.findings[kind] += 1
        save(
            self.job.output,
            f"{self.job.name}-{number}",
            bytes(shared[HEADER.size : HEADER.size + size]),
            self.findings[kind],
        )


if __name__ == "__main__":
    sys.exit(main())
