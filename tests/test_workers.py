"""Work on a Ray cluster of two machines, both this one: order, errors, lost workers and machines, shared folders."""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from support import file_contents, run_script, toy_features

import extract_features
import selfies2face
from utils import workers as workers_module
from utils.cli import InputError
from utils.cluster import ClusterOptions, open_cluster
from utils.features.feature_files import save_person
from utils.media.images import read_image, write_image
from utils.telemetry import disable_telemetry
from utils.workers import Workers

pytestmark = pytest.mark.slow
# What a lost machine is noticed by, in a test of seconds.
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}


class Machines:
    """A Ray cluster: a head without processors, and machines with one each."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.cluster = Cluster()
        self.add(0, _system_config=QUICK)
        self.nodes = [self.add(), self.add()]
        self.address = self.cluster.address

    def add(self, cpus: int = 1, **settings: dict):
        return self.cluster.add_node(num_cpus=cpus, include_dashboard=False, object_store_memory=1 << 27, **settings)

    def lose(self) -> None:
        """Kill a machine, and start another one when that is noticed."""
        self.cluster.remove_node(self.nodes.pop(), allow_graceful=False)
        self.nodes.append(self.add())


@pytest.fixture(scope="module")
def machines(short_folder) -> Iterator[Machines]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(short_folder))
        (short_folder / "ray").mkdir()
        disable_telemetry()
        machines = Machines()
        yield machines
        machines.cluster.shutdown()


@pytest.fixture(scope="module")
def workers(machines) -> Iterator[Workers]:
    with open_cluster(ClusterOptions(machines.address, None, 1, 0)) as opened:
        assert opened.count == 2
        yield opened


def test_results_come_in_order(workers, tmp_path):
    def load():
        def work(items):
            while items[0] == 0 and not (tmp_path / "8").exists():  # until the other worker has done nearly all
                time.sleep(0.05)
            (tmp_path / str(items[0])).touch()
            return [-item for item in items]

        return work

    assert list(workers.map(load, list(range(11)), 2)) == [-item for item in range(11)]
    assert list(workers.map(load, [], 2)) == []


def test_what_the_work_raises_ends_the_run(workers):
    def load():
        def work(items):
            raise InputError(f"{items[0]} is not a photo")

        return work

    with pytest.raises(InputError, match=r"^7 is not a photo$"):
        list(workers.map(load, [7], 1))


def test_folders_that_are_not_shared_are_one_line(workers, tmp_path):
    with pytest.raises(InputError, match=r"does not see .*nowhere: with several machines"):
        list(workers.map(lambda: None, [1], 1, sees=[tmp_path / "nowhere"]))


def test_what_a_lost_worker_had_is_done_again(workers, tmp_path):
    def load():
        def work(items):
            with contextlib.suppress(FileExistsError):
                (tmp_path / f"lost {items[0] // 10}").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
            return items

        return work

    assert list(workers.map(load, list(range(20)), 3)) == list(range(20))
    assert len(list(tmp_path.iterdir())) == 2


def test_work_that_ends_every_worker_is_left_undone(workers, capsys):
    def load():
        def work(items):
            time.sleep(0.2)  # the result before is out
            return os.kill(os.getpid(), signal.SIGKILL) if 3 in items else items

        return work

    results = workers.map(load, list(range(5)), 1)
    assert list(itertools.islice(results, 3)) == [0, 1, 2]
    with pytest.raises(InputError, match=r"3 workers ended over the same work, so it is left undone: 3$"):
        list(results)
    out, err = capsys.readouterr()
    assert not out and err.count("warning: a worker has ended") == err.count("\n") >= 2


def test_a_lost_machine_is_not_missed(machines, workers):
    def load():
        return lambda items: [(time.sleep(0.3), item)[1] for item in items]

    results = workers.map(load, list(range(20)), 1)
    done = list(itertools.islice(results, 4))
    machines.lose()
    assert done + list(results) == list(range(20))


def test_ctrl_c_lets_workers_finish_their_files(workers, tmp_path, monkeypatch):
    def load():
        def work(items):
            for item in items:
                time.sleep(0.3)
                (tmp_path / str(item)).touch()
            return items

        return work

    results = workers.map(load, list(range(100)), 2, writes=tmp_path)
    next(results)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    names = sorted(int(path.name) for path in tmp_path.iterdir())
    assert names == list(range(len(names))) and len(names) < 20  # whole units, and no other file


def test_workers_that_cannot_load_end_the_run(workers, monkeypatch):
    monkeypatch.setattr(workers_module, "LOAD_SECONDS", 0)
    with pytest.raises(InputError, match="the workers end before they are ready"):
        list(workers.map(lambda: os.kill(os.getpid(), signal.SIGKILL), [1], 1))


def test_a_full_cluster_is_waited_for(machines, workers, monkeypatch):
    told = []
    monkeypatch.setattr(workers_module, "SILENT_SECONDS", 0)
    monkeypatch.setattr(workers_module, "warn", lambda text: told.append(text) or machines.add(2))
    assert list(Workers(1, 2, 0, contextlib.ExitStack()).map(lambda: list, [1, 2], 1)) == [1, 2]
    assert len(told) == 1 and "no room for a worker" in told[0]


def test_scripts_make_the_same_files_and_report(machines, suite, tmp_path, capsys):
    selfies, model = tmp_path / "selfies", suite["extractor"]
    shutil.copytree(suite["selfies"], selfies)
    pair = [read_image(suite["selfies"] / f"person {number}" / "photo 0.jpg") for number in (0, 1)]
    write_image(selfies / "person 1" / "both.jpg", np.concatenate(pair, axis=1))
    (selfies / "person 2" / "broken.jpg").write_bytes(b"no picture")
    for script, source, words in (
        (selfies2face, ("-s", selfies), ("--largest", "-m", model)),
        (extract_features, ("-p", tmp_path / "local selfies2face"), ("-m", model, "--batch_size", 4)),
    ):
        name = script.__name__
        local, spread = tmp_path / f"local {name}", tmp_path / f"spread {name}"
        goal = "-p" if script is selfies2face else "-f"
        assert script.main([str(word) for word in (*source, *words, goal, local)]) == 0
        report = re.sub(r" \(\d+ per second\)", "", capsys.readouterr().out)
        result = run_script(f"{name}.py", *source, *words, goal, spread, "--cluster", machines.address)
        assert result.returncode == 0, result.stderr
        assert re.sub(r" \(\d+ per second\)", "", result.stdout) == report
        assert file_contents(spread) == file_contents(local)
        assert not list(spread.rglob(".*"))


def test_folds_are_fitted_by_workers_with_the_same_result(machines, tmp_path):
    toy = toy_features(60, 3, dimension=8)
    for label, name in enumerate(toy.names):
        images = [[f"{name}_{photo}.png", 1, 1] for photo in range(1, 4)]
        save_person(tmp_path / "features", name, toy.matrix[toy.labels == label], images, "toy-8-abc", 0)
    lines = ["3\t10"]
    for fold in range(3):
        people = [f"p{number}" for number in range(20 * fold, 20 * fold + 20)]
        lines += [f"{name}\t1\t2" for name in people[:10]]
        lines += [f"{first}\t1\t{second}\t2" for first, second in itertools.pairwise(people[:11])]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    words = ["-f", tmp_path / "features", "--pairs", tmp_path / "pairs.txt", "--cross_validate", "--bootstrap", 0]
    results = []
    for cluster in ([], ["--cluster", machines.address]):
        result = run_script("evaluate.py", *words, "--json", *cluster)
        assert result.returncode == 0, result.stderr
        results.append(json.loads(result.stdout))
        del results[-1]["arguments"]
    assert results[0] == results[1] and results[0]["heads"]
