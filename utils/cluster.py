"""Work on the cores of this machine, or on the machines of a cluster, in processes that Ray starts and watches.

This module reads the flags, and starts Ray on this machine or joins a cluster. What the workers do is in
utils.workers.
"""

import argparse
import contextlib
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils import interrupts
from utils.cli import InputError, bounded
from utils.telemetry import disable_telemetry
from utils.workers import DEAD_PROXY, Workers

JOIN_SECONDS = 15  # that a cluster has to answer; Ray itself would try for two minutes


@dataclass(frozen=True)
class ClusterOptions:
    """Where the work is done, and what each worker gets of it."""

    address: str  # "local" for this machine, "auto" or HOST:PORT for a cluster that runs
    workers: int | None  # None for as many as the cluster has room for
    cpus: float  # of each worker
    gpus: float  # of each worker


def add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--cluster` and the flags of its workers: see `read_options`."""
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="work in processes that Ray starts: local: on this machine; auto, or HOST:PORT: on the cluster that this "
        "machine belongs to (docs/scale.md)",
    )
    parser.add_argument(
        "--workers", type=bounded(int, 1, 100_000), help="with --cluster: processes (default: as many as have room)"
    )
    parser.add_argument(
        "--worker_cpus", type=bounded(float, 0.01, 1024), help="with --cluster: processor cores of each (default: 1)"
    )
    parser.add_argument(
        "--worker_gpus",
        type=bounded(float, 0, 64),
        help="with --cluster: graphics cards of each; 0.25: four share one (default: 0)",
    )


def read_options(
    address: str | None, workers: int | None, cpus: float | None, gpus: float | None, jobs: int | None = None
) -> ClusterOptions | None:
    """The values of the flags; None without --cluster. Raises InputError for flags that do not fit together."""
    if address is None:
        if (workers, cpus, gpus) != (None, None, None):
            raise InputError("--workers, --worker_cpus and --worker_gpus belong to --cluster")
        return None
    if jobs is not None:
        raise InputError("--jobs counts threads of one process: with --cluster use --workers and --worker_cpus")
    if address.startswith("ray://"):
        raise InputError("--cluster takes no ray:// address: start this on one of its machines, with --cluster auto")
    return ClusterOptions(address, workers, 1.0 if cpus is None else cpus, gpus or 0.0)


@contextlib.contextmanager
def open_cluster(options: ClusterOptions | None) -> Iterator[Workers | None]:
    """Start Ray on this machine or join a cluster, and leave it at the end. None without options. Raises InputError."""
    if options is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        session = _session_folder(stack) if options.address == "local" else None
        stack.callback(lambda: _import_ray().shutdown())  # before the folder is deleted
        # Ray takes SIGTERM for itself.
        handlers = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
        try:
            if session:
                with _no_network():
                    _initialize(address="local", _temp_dir=session)
            else:
                _join(options.address)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        yield Workers(_count_workers(options), options.cpus, options.gpus, stack)


@contextlib.contextmanager
def _no_network() -> Iterator[None]:
    """What Ray's processes on this machine are started with, so that they use loopback alone.

    Ray's head asks the addresses of three clouds whether it runs there, even if it must not report that to anybody: a
    proxy at which nobody answers keeps it from that. Workers drop the proxy.
    """
    saved = dict(os.environ)
    for name in ("no_proxy", "NO_PROXY"):
        os.environ.pop(name, None)
    os.environ |= {"http_proxy": DEAD_PROXY, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _import_ray() -> Any:
    disable_telemetry()  # also where no script has done it
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError("--cluster needs Ray: `pip install -r requirements-cluster.txt`") from None
    # It would explain each loss at length in the middle of what a script prints: utils.workers does so in a line.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    return ray


def _session_folder(stack: contextlib.ExitStack) -> str:
    """A folder for the logs and sockets of this run's Ray, deleted at the end."""
    # A short path, because those of sockets end at 107 characters.
    parent = os.environ.get("RAY_TMPDIR") or ("/tmp" if os.path.isdir("/tmp") else None)
    folder = tempfile.mkdtemp(prefix="siamese_faces_", dir=parent)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _join(address: str) -> None:
    from ray._private.services import canonicalize_bootstrap_address  # what Ray makes of "auto" and of localhost

    try:
        found = canonicalize_bootstrap_address(address)
        if _answers(found):
            _initialize(address=found)
            return
    except (ConnectionError, ValueError, RuntimeError, SystemExit) as exc:
        way_out = "start Ray with `ray start` on this machine, too (docs/scale.md)"
        raise InputError(f"--cluster {address} cannot be joined: {exc}; {way_out}") from None
    raise InputError(
        f"--cluster {address}: {found} does not answer within {JOIN_SECONDS} s. Is it the HOST:PORT of a cluster that "
        "runs (`ray status` tells), and does a firewall let it through?"
    )


def _answers(address: str) -> bool:
    """Whether something at HOST:PORT speaks Ray's protocol."""
    import grpc

    channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
    try:
        grpc.channel_ready_future(channel).result(JOIN_SECONDS)
        return True
    except grpc.FutureTimeoutError:
        return False
    finally:
        channel.close()


def _initialize(**where: str) -> None:
    # Workers get this code from here, so that the other machines of a cluster need the packages alone.
    code = {"py_modules": [str(Path(__file__).parent)]}
    _import_ray().init(
        runtime_env=code, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **where
    )


def _count_workers(options: ClusterOptions) -> int:
    """How many workers there will be. Raises InputError if no machine has room for one."""
    if options.workers:
        return options.workers
    machines = [node["Resources"] for node in _import_ray().nodes() if node["Alive"]]
    asked = {name: share for name, share in (("CPU", options.cpus), ("GPU", options.gpus)) if share}
    # A thousandth more, because 0.1 and the like are not exact.
    count = sum(min(int(have.get(name, 0) / share + 1e-3) for name, share in asked.items()) for have in machines)
    if not count:
        have = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in machines)
        raise InputError(
            f"no machine of the cluster has room for a worker of {options.cpus:g} CPUs and {options.gpus:g} GPUs "
            f"(it has {have}): change --worker_cpus or --worker_gpus, or give --workers to wait for more machines"
        )
    return count
