"""train.py on many people: the packed gallery stays on disk, and several devices share the training."""

import importlib.util
import os
import sys

import numpy as np
import pytest
from support import assert_one_error_line, gaussian_people, run_script

import compute_mean
import train
from utils.features.feature_files import STRANGERS, save_person
from utils.features.packed import GALLERY, pack
from utils.files import read_json

# Trains on a few rows, then on many, with 200 MB more than that took.
WITHIN_LIMIT = """
import re, resource, sys
from pathlib import Path
import numpy as np
import train
def run(folder):
    return train.main(["-f", folder, "-o", f"{folder}_head", "--head", "plda", "-e", "1"])
few, many = sys.argv[1:]
assert run(few) == 0
used = int(re.search(r"VmData:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (200 << 20), resource.RLIM_INFINITY))
status = run(many)
rows = np.load(next(Path(many, "_gallery").glob("rows-*.npy")), mmap_mode="r")
try:
    np.array(rows)
except MemoryError:
    sys.exit(status)
sys.exit("the limit does not limit")
"""


def save_people(folder, people: int, photos: int, dimension: int) -> None:
    """Features of people in person folders and a packed gallery."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((photos, dimension), np.float32)
    for person in range(people):
        rows = rng.standard_normal(dimension, np.float32) + rng.permutation(noise)
        save_person(folder, f"p{person:03}", rows, [(f"{i}.png", 1, 1) for i in range(photos)], "toy", 0)
    pack(folder)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["plda", "dense", "auto"])
def test_a_packed_gallery_gives_the_same_head(tmp_path, head):
    save_people(tmp_path / "features", people=60, photos=4, dimension=8)
    save_person(tmp_path / "features", STRANGERS, gaussian_people(20, 1, 8)[0], [("a", 1, 1)] * 20, "toy", 0)
    contents = []
    for _ in range(2):
        line = ["-f", str(tmp_path / "features"), "-o", str(tmp_path / "head"), "--head", head, "-e", "2", "-n", "1"]
        assert compute_mean.main(line[:2]) == train.main(line) == 0
        contents.append(
            [read_json(tmp_path / name) for name in ("features/normalization.json", "head/similarity.json")]
        )
        for file in (tmp_path / "features" / GALLERY).glob("*"):
            file.unlink()
    assert contents[0] == contents[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    save_people(tmp_path / "few", people=60, photos=20, dimension=512)
    save_people(tmp_path / "many", people=60, photos=3400, dimension=512)  # 204,000 rows, 418 MB
    result = run_script("-c", WITHIN_LIMIT, tmp_path / "few", tmp_path / "many")
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("head", ["plda", "dense"])
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_devices_that_share_the_training_give_the_same_head(tmp_path, head):
    save_people(tmp_path / "features", people=61, photos=3, dimension=8)  # a batch of 98 rows, which 4 does not divide
    env = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    # Virtual devices that share the few threads of a small machine can wait for each other forever.
    env |= {"JAX_CPU_ENABLE_ASYNC_DISPATCH": "false", "NPROC": "24"}
    tables = []
    for devices in ("1", "4"):
        words = ("-f", tmp_path / "features", "-o", tmp_path / devices, "--head", head, "-e", "2", "--devices", devices)
        result = run_script("train.py", *words, env=env)
        assert result.returncode == 0, result.stderr
        content = read_json(tmp_path / devices / "similarity.json")
        tables.append([content["threshold"], content["held_out"]["auc"], *np.ravel(content["thresholds"])])
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-3, atol=1e-5)


@pytest.mark.bad_input
@pytest.mark.slow
@pytest.mark.parametrize(("backend", "part"), [("jax", "JAX sees only cpu:0"), ("tensorflow", "KERAS_BACKEND=jax")])
def test_more_devices_than_there_are_is_one_line(tmp_path, backend, part):
    save_people(tmp_path / "features", people=3, photos=3, dimension=8)
    words = ("-f", tmp_path / "features", "-o", tmp_path / "head", "--devices", "4")
    result = run_script("train.py", *words, env={**os.environ, "KERAS_BACKEND": backend})
    assert_one_error_line(result, "--devices 4", part)
    assert not (tmp_path / "head").exists()
