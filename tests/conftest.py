"""What several tests need: real data where it is there, drawn people, one extractor for the whole session."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real faces that stands beside some checkouts; the test is skipped elsewhere."""
    if not DATA.is_dir():
        pytest.skip(f"needs the real faces in {DATA}")
    return DATA


@pytest.fixture(scope="session")
def extractor_path(tmp_path_factory) -> Path:
    """The dlib extractor, saved by network.py as its command line says."""
    import network

    folder = tmp_path_factory.mktemp("models")
    line = f"--output {folder} --model model_name --print_model 0 --backbone dlib"
    assert network.main(line.split()) == 0
    return folder / "model_name.keras"


@pytest.fixture(scope="session")
def selfies(tmp_path_factory) -> Path:
    """Photos of seven drawn people, five each, and what a folder gathers beside them."""
    from utils.drawn_identity import draw_identity
    from utils.drawn_people import draw_selfie
    from utils.images import write_image

    folder = tmp_path_factory.mktemp("suite") / "selfies"
    rng = np.random.default_rng(5)
    for number in range(7):
        for shot in range(5):
            photo = draw_selfie(draw_identity(100 + number), rng)
            write_image(folder / f"person {number}" / f"photo {shot}.jpg", photo)
    (folder / "notes.txt").write_text("a stray file")
    (folder / ".hidden").mkdir()
    return folder


@pytest.fixture(scope="session")
def suite(selfies, extractor_path) -> dict[str, Path]:
    """faces, features and a head of the drawn people, made by the scripts' own command lines."""
    import compute_mean
    import extract_features
    import selfies2face
    import train

    root = selfies.parent
    faces, features, head = root / "faces", root / "features", root / "similarity"
    assert selfies2face.main(["--face_selfies", str(selfies), "--faces_path", str(faces)]) == 0
    line = ["--faces_path", str(faces), "--model_path", str(extractor_path), "--features", str(features)]
    assert extract_features.main(line) == 0
    assert compute_mean.main(["--features_path", str(features)]) == 0
    line = ["--features_path", str(features), "--output_model", f"{head}/", "--epochs", "15", "--normaliza", "0"]
    assert train.main(line) == 0
    return {"faces": faces, "features": features, "head": head, "extractor": extractor_path}


def run_script(*words, env: dict | None = None, timeout: float = 120) -> subprocess.CompletedProcess:
    """Run a script of the suite in a process of its own, in the project's root."""
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout)


def assert_one_error_line(result: subprocess.CompletedProcess, *parts: str) -> None:
    """A run ended as bad input must end: status 2 and one `error:` line that says these parts."""
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for part in parts:
        assert part in lines[0]
