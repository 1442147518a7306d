"""Work in processes that Ray starts and watches: items in, results in order, whatever ends meanwhile.

`Workers.map` has the shape of `utils.threads.map_ahead`, so the code around it is the same. The workers are plain
actors, which load what they need once, with the bookkeeping here. Ray Data is no faster (52-68 images a second against
66, on two busy cores) and needs pyarrow and pandas. A call that Ray repeats by itself waits for its own worker to come
back, which does not happen if the lost machine was the only one with room for it.
"""

import contextlib
import os
import platform
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils import interrupts
from utils.cli import InputError, cut, warn
from utils.files import write_bytes
from utils.storage import UNFINISHED
from utils.telemetry import disable_telemetry
from utils.threads import limit_cores

FINISH_SECONDS = 30  # that workers get after Ctrl-C for the files that they are writing
SILENT_SECONDS = 60  # without any worker, before the user hears of it; a lost machine is noticed after half of that
DEAD_PROXY = "http://127.0.0.1:9"  # what utils.cluster gives to Ray's own processes: nobody answers there
ASK_SECONDS = 1  # until a worker that has ended is asked whether it is there again
LOAD_SECONDS = 60  # in which workers may end while they load, as they do while a lost machine is not noticed yet
AHEAD = 2  # units that a worker holds: the next one is there when it has finished one
MAX_WAITING = 64  # units done or begun ahead of the first unfinished one, and more if there are more workers
MAX_LOSSES = 3  # workers that may end over one unit: then it is the unit that ends them
# What a machine that joined a cluster does not have from this one: keys of storage, its way there, Keras' backend.
PASSED_ON = (
    "AWS_",
    "AZURE_",
    "FSSPEC_",
    "GCSFS_",
    "GOOGLE_",
    "KERAS_BACKEND",
    "S3_",
    "http_proxy",
    "no_proxy",
    "NO_PROXY",
)

Load = Callable[[], Callable[[list], Iterable]]  # run once by each worker; gives the function of a unit of items


class _Worker:
    """One process of the cluster. If it ends, Ray starts it again, with the same arguments."""

    def __init__(self, sees: list[Path], cpus: float, folder: str, environment: dict[str, str]):
        self.sees = sees
        self.function: Callable[[list], Iterable] | None = None
        self.cores = max(1, int(cpus))
        threads = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        if os.environ.get("http_proxy") == DEAD_PROXY:
            del os.environ["http_proxy"]
        os.environ.update(environment | dict.fromkeys(threads, str(self.cores)))
        with contextlib.suppress(OSError):  # relative paths are then missed in `prepare`
            os.chdir(folder)

    def prepare(self, load: Load) -> None:
        """Load what the work needs, unless that is done. Raises InputError."""
        if self.function is not None:
            return
        for path in self.sees:
            if not path.exists():
                raise InputError(
                    f"a worker on {platform.node()} does not see {path}: with several machines, all folders must be "
                    "on storage that they share, under the same path (NFS, s3://)"
                )
        disable_telemetry()
        import cv2

        cv2.setNumThreads(self.cores)
        limit_cores(self.cores)
        self.function = load()

    def run(self, items: list) -> list:
        return list(self.function(items))


@dataclass
class _Unit:
    """Items that a worker gets at once."""

    index: int  # its place in the order
    items: list
    losses: int = 0  # workers that ended while they had it


@dataclass(frozen=True)
class Workers:
    """The workers that have room in the cluster that this process is part of."""

    count: int
    cpus: float  # of each
    gpus: float  # of each
    cleanup: contextlib.ExitStack  # what is called before Ray ends

    def map(
        self, load: Load, items: list, unit: int, sees: Iterable[Path] = (), writes: Path | None = None
    ) -> Iterator:
        """Yield the result of each item, in order. What a worker leaves undone when it ends, another one does.

        Args:
            load: Run by each worker; gives a function from a list of items to their results. It may get the same
                items twice, so what it writes must come out the same.
            unit: Items that a worker gets at once. They should take longer than a message, and no longer than a user
                waits after Ctrl-C.
            sees: Files that every worker must see; otherwise the folders are not shared.
            writes: The folder that workers write to. If the run is interrupted, they finish what they have in hand.

        Raises what the function raised, and InputError for items over which several workers end.
        """
        units = [_Unit(index, items[start : start + unit]) for index, start in enumerate(range(0, len(items), unit))]
        stack = contextlib.ExitStack()
        self.cleanup.callback(stack.close)  # Python may close this generator later than that
        with stack:
            seen = list(sees)
            if writes is not None:
                seen.append(writes / f"{UNFINISHED}{uuid.uuid4().hex}")
                write_bytes(seen[-1], b"", private=True)
                stack.callback(seen[-1].unlink, missing_ok=True)
            run = _Run(self._start_workers(seen, len(units)), load, units)
            stack.callback(run.stop, FINISH_SECONDS if writes is not None else 0)
            yield from run.results()

    def _start_workers(self, sees: list[Path], units: int) -> list:
        import ray

        environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        actor = ray.remote(_Worker).options(num_cpus=self.cpus, num_gpus=self.gpus, max_restarts=-1)
        arguments = sees, self.cpus, os.getcwd(), environment
        return [actor.remote(*arguments) for _ in range(min(self.count, units))]


class _Run:
    """The units of one `Workers.map`: which are to be done, which a worker has, and what came of them."""

    def __init__(self, actors: list, load: Load, units: list[_Unit]):
        import ray

        self.actors, self.count = actors, len(units)
        self.load = ray.put(load)  # once for all workers of a machine: it may hold a matrix of features
        self.todo = deque(units)
        self.done: dict[int, list] = {}  # index → results that are not yielded yet
        self.first = 0  # the index of the unit to be yielded next
        # A call's reference → its worker and unit; without a unit it asks whether the worker is ready, and each answer
        # to that is a place for one unit.
        self.calls: dict[Any, tuple[Any, _Unit | None]] = {}
        self.places: deque = deque()  # workers that are ready for a unit, as often as for units
        self.heard = time.monotonic()  # when a worker answered last
        self.later: list[tuple[float, Any]] = []  # when to ask a worker that has ended whether it is there again
        for actor in actors * AHEAD:
            self._ask(actor)

    def _ask(self, actor: Any) -> None:
        self.calls[actor.prepare.remote(self.load)] = actor, None

    def results(self) -> Iterator:
        """Yield the results of all units' items, in order."""
        active = time.monotonic()  # when a worker had work last
        window = max(MAX_WAITING, 2 * AHEAD * len(self.actors))
        while self.first < self.count:
            while self.places and self.todo and self.todo[0].index < self.first + window:
                actor, unit = self.places.popleft(), self.todo.popleft()
                self.calls[actor.run.remote(unit.items)] = actor, unit
            if any(unit for _, unit in self.calls.values()):
                active = time.monotonic()
            elif time.monotonic() - active > SILENT_SECONDS:
                warn("the cluster has no room for a worker at present: waiting (Ctrl-C keeps what is finished)")
                active = float("inf")
            due = [actor for moment, actor in self.later if moment <= time.monotonic()]
            self.later = [(moment, actor) for moment, actor in self.later if moment > time.monotonic()]
            for actor in due:
                self._ask(actor)
            self._receive()
            while self.first in self.done:
                yield from self.done.pop(self.first)
                self.first += 1

    def _receive(self) -> None:
        """Wait for answers, a second at most."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        interrupts.check()
        if not self.calls:
            time.sleep(0.1)
            return
        for call in ray.wait(list(self.calls), timeout=0.2 if self.later else 1)[0]:
            if call not in self.calls:  # it was lost together with one before
                continue
            actor, unit = self.calls[call]
            try:
                results = ray.get(call)
            except RayTaskError as exc:  # an exception of the work itself
                raise exc.cause from None
            except RayError as exc:  # the worker has ended, or its machine
                self._lose(actor, exc)
                continue
            del self.calls[call]
            self.heard = time.monotonic()
            self.places.append(actor)
            if unit:
                self.done[unit.index] = results

    def _lose(self, actor: Any, error: Exception) -> None:
        """Give a worker's units to others, and wait for it to come back.

        Raises InputError if a unit is to blame, or if no worker gets to work.
        """
        calls = [call for call, (owner, _) in self.calls.items() if owner is actor]
        units = [unit for _, unit in map(self.calls.pop, calls) if unit]
        self.places = deque(other for other in self.places if other is not actor)
        self.later += [(time.monotonic() + ASK_SECONDS, actor)] * AHEAD
        if units:
            self._put_back(units)
        elif time.monotonic() - self.heard > LOAD_SECONDS and not any(unit for _, unit in self.calls.values()):
            reason = cut(" ".join(str(error).split()))
            raise InputError(f"the workers end before they are ready; fewer --workers take less memory: {reason}")

    def _put_back(self, units: list[_Unit]) -> None:
        """Let others do what a worker had when it ended. Raises InputError if the first unit, in work, is to blame."""
        units[0].losses += 1
        if units[0].losses == MAX_LOSSES:
            names = cut(", ".join(map(str, units[0].items)))
            raise InputError(f"{MAX_LOSSES} workers ended over the same work, so it is left undone: {names}")
        warn("a worker has ended, or its machine: what it had is done again")
        self.todo.extendleft(reversed(units))

    def stop(self, seconds: float) -> None:
        """End the workers, after the time that they get to finish what they have in hand."""
        import ray

        working = [call for call, (_, unit) in self.calls.items() if unit]
        if working and seconds:
            ray.wait(working, num_returns=len(working), timeout=seconds)
        for actor in self.actors:
            ray.kill(actor)
