"""Nothing leaves the machine: scripts run under a system-call trace with an empty home folder."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import ROOT

from utils.media.images import write_image
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie

needs_trace = pytest.mark.skipif(
    # CI sets REQUIRE_WINDOWS, so that a failed installation there is no silent skip.
    not (os.environ.get("REQUIRE_WINDOWS") or shutil.which("strace")),
    reason="needs strace (apt install strace)",
)
# What may appear in the home folder; README names it. None of it says anything about the user or the faces.
HOME_FILES = re.compile(
    r"\.ray/auth_token|\.keras/keras\.json|\.cache/matplotlib/fontlist-.*\.json|\.cache/siamese-faces/network-\w+"
)
SENT: list[int] = []  # bytes that each script of the running test sent to other machines
LOOPBACK = re.compile(r'inet_addr\("127\.|"::1"|"::ffff:127\.')


def foreign_calls(trace: str) -> list[str]:
    """The system calls of a trace that address another machine."""
    return [line for line in trace.splitlines() if "AF_INET" in line and not LOOPBACK.search(line)]


def sent_bytes(calls: list[str]) -> int:
    """How many bytes these calls sent, which is what they returned."""
    return sum(max(0, int(call.rpartition(" = ")[2].split()[0])) for call in calls if "send" in call)


@pytest.fixture
def counted_bytes(tally) -> Iterator[None]:
    """Counts the scripts that a test runs and the bytes that they send, even if it fails."""
    SENT.clear()
    yield
    tally.add("scripts traced", len(SENT))
    tally.add("bytes sent", sum(SENT))


def run_traced(folder: Path, *words) -> None:
    """Run a script; assert that it asks no other machine for anything and leaves nothing unnamed at home."""
    home, trace = folder / "home", folder / "trace"
    home.mkdir(exist_ok=True)
    # Variables that send the caches elsewhere would hide what is written at home.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "MPL", "ORT_"))}
    command = ["strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o", trace, sys.executable, *words]
    result = subprocess.run(command, cwd=ROOT, env={**env, "HOME": str(home)}, capture_output=True, text=True)
    assert result.returncode in (0, 1), result.stderr
    foreign = foreign_calls(trace.read_text())
    SENT.append(sent_bytes(foreign))
    assert not foreign
    made = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    assert all(HOME_FILES.fullmatch(name) for name in made), made


@pytest.mark.privacy
@pytest.mark.slow
@needs_trace
@pytest.mark.parametrize("use", ["import_openvino().Core()", "import_converter()"])
def test_openvino_reports_nothing(counted_bytes, tmp_path, use):
    """Its Python package imports one that reports every import, and every conversion of a network."""
    run_traced(tmp_path, "-c", f"from utils.engine import *\n{use}")


@pytest.mark.privacy
@pytest.mark.slow
@needs_trace
def test_no_script_talks_to_anybody(counted_bytes, tmp_path):
    photos, faces, features = (tmp_path / name for name in ("photos", "faces", "features"))
    rng = np.random.default_rng(0)
    for number in range(3):
        for shot in range(2):
            write_image(photos / f"person {number}" / f"{shot}.jpg", draw_selfie(sample_identity(number), rng))
    model, head = tmp_path / "dlib", tmp_path / "similarity"
    recognize = ["--model", model, "--classification", head]
    run_traced(tmp_path, "selfies2face.py", "--face_selfies", photos, "--faces_path", faces)
    run_traced(tmp_path, "network.py", "--output", tmp_path, "--model", "dlib", "--backbone", "dlib")
    run_traced(tmp_path, "extract_features.py", "--faces_path", faces, "--model_path", model, "--features", features)
    run_traced(tmp_path, "pack.py", "--features", features)
    run_traced(tmp_path, "compute_mean.py", "--features_path", features)
    run_traced(tmp_path, "train.py", "--features_path", features, "--output_model", head)
    run_traced(
        tmp_path, "evaluate.py", "--features_path", features, "--classification", head, "--output", tmp_path / "r"
    )
    words = ["--model", model, "--classification", head, "--precision", "int8", "--faces_path", faces]
    run_traced(tmp_path, "export.py", *words, "--output", tmp_path / "exported")
    run_traced(
        tmp_path, "verify.py", photos / "person 0", photos / "person 1", *recognize, "--output", tmp_path / "a.png"
    )
    words = ["--features", features, *recognize, "--unknown_dir", faces / "person 1"]
    run_traced(tmp_path, "find.py", photos / "person 0", *words)
    source = ["--image_path", photos / "person 0", "--headless", "--output", tmp_path / "out"]
    run_traced(tmp_path, "test.py", "--features", features, *recognize, *source)


@pytest.mark.privacy
@pytest.mark.slow
@needs_trace
def test_ray_on_this_machine_talks_to_nobody_else(counted_bytes, short_folder, selfies, tmp_path, monkeypatch):
    """Its session's folder, with logs that name the command, is deleted at the end."""
    monkeypatch.setenv("RAY_TMPDIR", str(short_folder))
    words = ["--cluster", "local", "--workers", "1"]
    run_traced(tmp_path, "selfies2face.py", "--face_selfies", selfies, "--faces_path", tmp_path / "faces", *words)
    assert not list(short_folder.iterdir())


def test_a_trace_tells_this_machine_from_others():
    local = '7 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0'
    name_service = '7 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}, 16) = 0'
    unix = '7 connect(3, {sa_family=AF_UNIX, sun_path="/tmp/.X11-unix/X0"}, 110) = 0'
    assert foreign_calls("\n".join([local, name_service, unix])) == [name_service]
    question = '7 sendto(3, "x", 29, 0, {sa_family=AF_INET, sin_addr=inet_addr("192.0.2.1")}, 16) = 29'
    assert sent_bytes(foreign_calls("\n".join([question, name_service, local]))) == 29


def test_every_script_is_traced():
    traced = set(re.findall(r'run_traced\(\s*tmp_path, "([\w.]+)"', Path(__file__).read_text(encoding="utf-8")))
    # The demo runs the others; capture.py does with a camera what test.py does.
    assert traced == {path.name for path in ROOT.glob("*.py")} - {"demo.py", "capture.py"}
