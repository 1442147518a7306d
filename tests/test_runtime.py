"""A desk without TensorFlow: the scripts run with the packages of requirements-runtime.txt alone."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from exported_networks import write_extractor, write_head
from support import DEADLINE, ROOT, webcam_view, write_clip

from utils.media.images import write_image
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie

IMPORT_NAMES = {"scikit-learn": "sklearn"}  # of packages that are called otherwise
OTHERS = {"scipy", "google.protobuf", "jax", "absl", "onnxruntime", "packaging"}  # what other packages bring along


def packages(requirements: str) -> set[str]:
    text = (ROOT / requirements).read_text(encoding="utf-8")
    return set(re.findall(r"^([\w-]+)[=>]", text, re.MULTILINE))


def run_alone(script: str, *words: object) -> subprocess.CompletedProcess:
    """Run a script where only the packages of requirements-runtime.txt can be imported."""
    missing = packages("requirements.txt") - packages("requirements-runtime.txt")
    hidden = {IMPORT_NAMES.get(name, name) for name in missing} | OTHERS
    program = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({sorted(hidden)})); "
        f"sys.argv[0] = {script!r}; runpy.run_path({script!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)


def test_the_runtime_is_a_part_of_the_core():
    names = ("requirements-runtime.txt", "requirements.txt", "requirements-weights.txt")
    runtime, core, weights = (
        {line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()} - {""}
        for name in names
    )
    assert runtime < core | weights and "tensorflow" not in packages(names[0])


@pytest.mark.slow
def test_the_desk_runs_without_tensorflow(tmp_path):
    rng = np.random.default_rng(0)
    selfies, faces, features = (tmp_path / name for name in ("selfies", "faces", "features"))
    for number in range(2):
        for shot in range(2):
            write_image(selfies / f"p{number}" / f"{shot}.jpg", draw_selfie(sample_identity(number), rng))
    models = ["--model", write_extractor(tmp_path), "--classification", write_head(tmp_path)]
    video, events = tmp_path / "clip.mp4", tmp_path / "events.jsonl"
    write_clip(video, [webcam_view(seed=seed) for seed in range(3)])
    photos = sorted(selfies.rglob("*.jpg"))
    runs = [
        ("selfies2face.py", "--face_selfies", selfies, "--faces_path", faces),
        ("capture.py", "--output", faces / "p2", "--video_path", video, "--headless", "--every", 1, "--gate", 0),
        ("extract_features.py", "--faces_path", faces, "--model_path", models[1], "--features", features),
        ("test.py", "--features", features, *models, "--video_path", video, "--headless", "--events", events),
        ("verify.py", photos[0], photos[1], *models),
        ("find.py", photos[0], "--features", features, *models, "--events", events),
    ]
    for run in runs:
        ended = run_alone(*run)
        assert ended.returncode == 0 or (run[0] == "verify.py" and ended.returncode == 1), (run[0], ended.stderr)
    assert [json.loads(line)["frame"] for line in events.read_text().splitlines()] == [0, 1, 2]


@pytest.mark.slow
def test_a_missing_package_is_one_line(tmp_path):
    """verify.py draws with matplotlib, which this list leaves out."""
    photo = tmp_path / "p.jpg"
    write_image(photo, draw_selfie(sample_identity(0), np.random.default_rng(0)))
    models = ["--model", write_extractor(tmp_path), "--classification", write_head(tmp_path)]
    ended = run_alone("verify.py", photo, photo, *models, "--output", tmp_path / "answer.png")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("warning:")]
    assert ended.returncode == 2 and len(lines) == 1 and "matplotlib" in lines[0] and "pip install" in lines[0]
