"""Fixtures of several tests: real faces if there are any, drawn people and one extractor for the session."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bad_runs import Run, Tally, run_main
from support import ROOT, STARTED, Display, gray_pictures

# The same as in utils.keras_models.import_keras. JAX, which TensorFlow imports if installed, sets another level.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DATA = ROOT.parent / "shared" / "data"
SLOW_FIXTURES = {"real_data", "extractor_path", "suite", "screen", "s3"}


def pytest_configure() -> None:
    """Undo the caller's ignored signals: a shell starts a job in its background with SIGINT ignored, nohup SIGHUP."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test with a slow fixture is slow itself: `make check` leaves it out."""
    for item in items:
        if not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real faces beside some checkouts; without it the test is skipped."""
    if not DATA.is_dir():
        pytest.skip(f"needs the real faces in {DATA}")
    return DATA


@pytest.fixture(scope="session")
def extractor_path(tmp_path_factory) -> Path:
    """The dlib extractor, saved by network.py."""
    import network

    folder = tmp_path_factory.mktemp("models")
    line = f"--output {folder} --model model_name --print_model 0 --backbone dlib"
    assert network.main(line.split()) == 0
    return folder / "model_name.keras"


@pytest.fixture(scope="session")
def selfies(tmp_path_factory) -> Path:
    """Photos of seven drawn people, five each, and stray files such as folders gather."""
    from utils.media.images import write_image
    from utils.synthetic.identity import sample_identity
    from utils.synthetic.portrait import draw_selfie

    folder = tmp_path_factory.mktemp("suite") / "selfies"
    rng = np.random.default_rng(5)
    for number in range(7):
        for shot in range(5):
            photo = draw_selfie(sample_identity(100 + number), rng)
            write_image(folder / f"person {number}" / f"photo {shot}.jpg", photo)
    (folder / "notes.txt").write_text("a stray file")
    (folder / ".hidden").mkdir()
    return folder


@pytest.fixture(scope="session")
def suite(selfies, extractor_path) -> dict[str, Path]:
    """Faces, features and a head of the drawn people, made by the scripts."""
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
    return {"selfies": selfies, "faces": faces, "features": features, "head": head, "extractor": extractor_path}


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a bucket on an S3 server on this machine that fails one request in twenty."""

    import boto3

    server = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "s3_server.py", "20"], stdout=subprocess.PIPE, text=True
    )
    secrets = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**secrets, "AWS_ENDPOINT_URL": server.stdout.readline().strip()}.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket"
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def short_folder() -> Iterator[Path]:
    """A folder for Ray. Its path is short, because those of sockets end at 107 characters."""
    with tempfile.TemporaryDirectory(prefix="ray_", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def models_load_once() -> Iterator[None]:
    """Load each extractor and each head once for all runs of a module."""
    from utils.features import extractor
    from utils.heads import head
    from utils.live import session

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((extractor, "load_extractor"), (head, "load_head")):
            once = functools.cache(getattr(module, name))
            for holder in (module, session):
                patch.setattr(holder, name, once)
        yield


@pytest.fixture
def tally(record_property) -> Tally:
    """Counts what a test tries, for benchmarks/faults.py."""
    return Tally(record_property)


@pytest.fixture
def run(capfd, tally, tmp_path, monkeypatch) -> Iterator[Callable[..., Run]]:
    """Runs a script's main on words, in an empty folder that has to stay empty."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    yield functools.partial(run_main, capfd, tally)
    assert not list(here.iterdir())


@pytest.fixture
def gray_camera():
    """A network camera that sends 30 pictures a second, each in another gray."""
    from utils.synthetic.network_camera import MjpegCamera

    camera = MjpegCamera(gray_pictures(60), 30)
    camera.start()
    yield camera
    camera.stop()


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """A virtual screen."""
    screen = Display(tmp_path_factory.mktemp("screen"))
    yield screen
    screen.server.terminate()
    screen.server.wait()


@pytest.fixture(autouse=True)
def no_window_is_left():
    """End the scripts that a failed test has left running, so that their windows do not disturb the next test."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def home_setup(suite, tmp_path):
    """A recognizer of the drawn people, an enrollment, and the folders of faces and features that it writes to.

    The enrollment takes every face, and its clock shows the time of the newest frame.
    """
    from utils.features.extractor import load_extractor
    from utils.features.feature_files import load_features
    from utils.heads.head import load_head
    from utils.live.enrollment import Enrollment
    from utils.recognition.gallery import Gallery
    from utils.recognition.recognizer import load_recognizer

    faces, features = tmp_path / "faces", tmp_path / "features"
    shutil.copytree(suite["faces"], faces)
    shutil.copytree(suite["features"], features)
    stored, head = load_features(features), load_head(suite["head"])
    gallery = Gallery(stored, head, head.threshold, head.min_votes)
    recognizer = load_recognizer(gallery, load_extractor(suite["extractor"]), "retinaface", 20, True, 640)
    enrollment = Enrollment(
        recognizer, faces, features, clock=lambda: recognizer.now, interval=0.0, judge=lambda *_: None
    )
    return recognizer, enrollment, faces, features


@pytest.fixture
def scored():
    """Scores with ties, truth and weights of 400 pairs."""
    rng = np.random.default_rng(0)
    same = rng.random(400) < 0.4
    scores = np.round(rng.normal(same * 1.5, 1), 1)
    return scores, same, rng.integers(1, 5, 400).astype(float)
