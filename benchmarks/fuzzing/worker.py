"""The process that reads altered files, within limits on time and memory."""

import faulthandler
import itertools
import mmap
import os
import random
import re
import resource
import shutil
import signal
import struct
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fuzzing.target import MAX_MESSAGE, Target
from utils import interrupts
from utils.cli import describe_error

MAX_INPUT = 1 << 26  # bytes
MAX_SAVED = 3  # inputs of each kind of finding, in one process
HEADER = struct.Struct("<QQQQQ")  # what parent and child share: number and size of the input; tried, accepted, refused
FINISHED, STOPPED = 0, 3  # exit statuses: the time is over; a fresh process shall go on


@dataclass(frozen=True)
class Job:
    """What to try, and where to keep what is found."""

    name: str  # of the target
    target: Target
    seed: int  # of the dice
    output: Path  # folder of saved inputs


def save(folder: Path, name: str, data: bytes, count: int) -> None:
    """Keep the input of the first few findings of a kind."""
    if count <= MAX_SAVED:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.bin").write_bytes(data)


class Worker:
    """The child: makes inputs and reads them, within limits."""

    def __init__(self, job: Job, folder: Path, seeds: list[bytes], shared: mmap.mmap, log: Path):
        """folder: a temporary one. seeds: valid files. shared: memory that the parent reads, too."""
        self.job, self.target, self.seeds, self.shared, self.folder = job, job.target, seeds, shared, folder / "files"
        self.log = open(log, "a")  # noqa: SIM115  it stays open to the end, for faulthandler too
        self.kinds = Counter()
        for number in interrupts.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(silence, stream)
        faulthandler.enable(self.log)
        warnings.simplefilter("ignore")

    def work(self, start: int, seconds: float) -> int:
        """Read inputs from number `start` on. seconds: of CPU."""
        self.target.warm_up()
        self.try_one(start, limited=False)  # loads what the reader needs
        self._limit_memory()
        for number in itertools.count(start):
            self.try_one(number)
            if sum(os.times()[:4]) > seconds:  # its own and its children's
                return FINISHED
            if number - start >= self.target.rounds:
                return STOPPED

    def _limit_memory(self) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (self.target.megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def try_one(self, number: int, limited: bool = True) -> None:
        rng = random.Random(f"{self.job.seed} {self.job.name} {number}")
        data = rng.choice(self.seeds)
        if limited:
            data = self.target.mutate(data, self.seeds, rng)[:MAX_INPUT]
        _, _, tried, accepted, refused = HEADER.unpack_from(self.shared)
        self.shared[HEADER.size : HEADER.size + len(data)] = data
        HEADER.pack_into(self.shared, 0, number, len(data), tried + limited, accepted, refused)
        if limited:
            signal.setitimer(signal.ITIMER_PROF, self.target.seconds)
        kind = self._read(data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        accepted, refused = accepted + (kind == "accepted"), refused + (kind == "refused")
        if limited:
            HEADER.pack_into(self.shared, 0, number, len(data), tried + 1, accepted, refused)
        if kind not in ("accepted", "refused"):
            self.kinds[kind] += 1
            print(f"finding: {kind}", file=self.log, flush=True)
            save(self.job.output, f"{self.job.name}-{number}", data, self.kinds[kind])

    def _read(self, data: bytes) -> str:
        """What becomes of an input: "accepted", "refused", or the kind of the finding."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        try:
            self.target.read(data, self.folder)
            return "accepted"
        except self.target.refusals as exc:
            return _odd_message(describe_error(exc)) or "refused"
        except BaseException as exc:
            place = traceback.extract_tb(exc.__traceback__)
            own = [frame for frame in place if "/utils/" in frame.filename] or place
            return f"{type(exc).__name__} in {Path(own[-1].filename).name}, line {own[-1].lineno}: {_gist(str(exc))}"


def _odd_message(message: str) -> str | None:
    """What is wrong with a refusal's message, which becomes one `error:` line. None if nothing is."""
    if len(message) > MAX_MESSAGE:
        return f"a message of over {MAX_MESSAGE} characters: {_gist(message)}"
    if not message.strip():
        return "an empty message"
    return None


def _gist(message: str) -> str:
    """The beginning of a message without paths, quotations and numbers, so that findings of one kind look alike."""
    return ascii(re.sub(r"\S*/|['\"[{].*|[-+]?\d[\d.e+-]*", "", " ".join(message[:300].split()))[:70].strip())
