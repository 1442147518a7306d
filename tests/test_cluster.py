"""--cluster: its flags, Ray on this machine, and clusters that cannot be joined."""

import functools
import os
import signal
import subprocess
import sys

import pytest
from support import DEADLINE, ROOT, assert_one_error_line, run_script, wait_until

import utils.cluster
from utils.cli import InputError
from utils.cluster import ClusterOptions, open_cluster, read_options


def test_flags_that_contradict_each_other():
    assert read_options(None, None, None, None, jobs=4) is None
    assert read_options("auto", None, None, None) == ClusterOptions("auto", None, 1.0, 0.0)
    assert read_options("local", 3, 0.5, 0.25) == ClusterOptions("local", 3, 0.5, 0.25)
    with pytest.raises(InputError, match="belong to --cluster"):
        read_options(None, 2, None, None)
    with pytest.raises(InputError, match="--jobs counts threads"):
        read_options("local", None, None, None, jobs=4)
    with pytest.raises(InputError, match="no ray:// address"):
        read_options("ray://head:10001", None, None, None)


def test_without_ray_the_error_names_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(InputError, match=r"requirements-cluster\.txt"),
        open_cluster(ClusterOptions("local", None, 1, 0)),
    ):
        pass


@pytest.mark.slow
def test_clusters_that_cannot_be_joined_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(utils.cluster, "JOIN_SECONDS", 1)
    # "auto" finds every cluster of this machine, also those of tests that run at the same time.
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", functools.cache(set))
    for address, reason in (
        ("auto", "cannot be joined: Could not find any running Ray instance"),
        ("nonsense", "cannot be joined: Invalid address format"),
        ("127.0.0.1:1", "does not answer within 1 s"),
    ):
        with pytest.raises(InputError, match=reason), open_cluster(ClusterOptions(address, None, 1, 0)):
            pass


@pytest.mark.slow
def test_no_room_for_a_worker_is_one_line(short_folder, selfies, tmp_path):
    words = ("-s", selfies, "-p", tmp_path / "faces", "--cluster", "local", "--worker_gpus", 9)
    result = run_script("selfies2face.py", *words, env={**os.environ, "RAY_TMPDIR": str(short_folder)})
    assert_one_error_line(result, "has room for a worker of 1 CPUs and 9 GPUs", "--worker_gpus")
    assert not list(short_folder.iterdir())


@pytest.mark.slow
@pytest.mark.kill
def test_ctrl_c_saves_what_is_finished_and_leaves_nothing_behind(short_folder, selfies, tmp_path):
    faces = tmp_path / "faces"
    command = [sys.executable, "selfies2face.py", "-s", selfies, "-p", faces, "--cluster", "local", "--workers", "1"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "RAY_TMPDIR": str(short_folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: process.poll() is not None or list(faces.rglob("*.png")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: Ray's processes get it, too
    _, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted")
    done = [path.name for path in faces.rglob("*") if path.is_file()]
    assert len(done) > 0 and not [name for name in done if not name.endswith(".png") or name.startswith(".")]
    assert not list(short_folder.iterdir())
    wait_until(lambda: not processes_in(process.pid))


def processes_in(session: int) -> list[str]:
    """The processes of a session that was started here, by their ids, without those that have ended."""
    found = subprocess.run(["ps", "-s", str(session), "-o", "stat=,pid="], capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if not line.startswith("Z")]
