"""Faces, features and models on an S3 server that fails one request in twenty: as on this machine, byte for byte."""

import collections
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from support import DEADLINE, ROOT, assert_one_error_line, run_script

from utils.cli import file_path
from utils.files import read_json
from utils.storage import listed

AWAY = {"AWS_ENDPOINT_URL": "http://ada:secret@127.0.0.1:9", "AWS_MAX_ATTEMPTS": "2"}
WRITER = """
import itertools, sys
from utils.cli import file_path
from utils.files import write_new
folder, who, places = file_path(sys.argv[1]), sys.argv[2], itertools.count()
for number in range(20):
    write_new((folder / f"face_{place}.png" for place in places), f"{who} {number}".encode())
"""


def files_in(folder: Path) -> dict[str, bytes]:
    """The content of all files below a folder or an address."""
    found: dict[str, bytes] = {}
    for path in folder.iterdir():
        if path.is_dir():
            found |= {f"{path.name}/{name}": data for name, data in files_in(path).items()}
        else:
            found[path.name] = path.read_bytes()
    return found


def without_times(files: dict[str, bytes]) -> dict[str, object]:
    """The same, with the manifests read and without the times of the images, which an upload changes."""
    read: dict[str, object] = dict(files)
    for name in files:
        if name.endswith("_features.json"):
            content = json.loads(files[name])
            content["images"] = [image[:2] for image in content["images"]]
            read[name] = content
    return read


@pytest.fixture(scope="module")
def remote(s3, suite) -> str:
    """The address of the suite's photos and its extractor."""
    client = boto3.client("s3")
    for root, prefix in ((suite["selfies"], "selfies"), (suite["extractor"].parent, "models")):
        for path in root.rglob("*"):
            if path.is_file():
                client.upload_file(path, "bucket", f"{prefix}/{path.relative_to(root)}")
    client.put_object(Bucket="bucket", Key="selfies/")  # as consoles mark a folder
    return s3


def test_the_scripts_do_the_same_from_and_to_s3(remote, suite, run, capfd):
    faces, features, model, head = (f"{remote}/{name}" for name in ("faces", "features", "models/model_name", "head"))
    for _ in range(2):
        result = run("selfies2face", "-s", f"{remote}/selfies", "-p", faces)
        assert not result.status and "7 people, 35 photos" in result.out
    assert "0 faces saved, 35 unchanged" in result.out
    assert files_in(file_path(faces)) == files_in(suite["faces"])
    for _ in range(2):
        assert not run("extract_features", "-p", faces, "-m", model, "-f", features).status
    assert not run("compute_mean", "-f", features).status
    assert without_times(files_in(file_path(features))) == without_times(files_in(suite["features"]))
    assert not run("train", "-f", features, "-o", head, "-e", 15).status
    described = [read_json(file_path(str(folder)) / "similarity.json") for folder in (head, suite["head"])]
    assert described[0]["training"]["features_path"] == features
    assert described[0]["threshold"] == described[1]["threshold"]
    assert not run("pack", "-f", features).status
    pair = [f"{remote}/selfies/person 0", suite["selfies"] / "person 1"]
    answers = [
        json.loads(run("verify", *pair, "-m", extractor, "-c", folder, "--json").out)["probability"]
        for extractor, folder in ((model, head), (suite["extractor"], suite["head"]))
    ]
    assert answers[0] == answers[1]
    seen = run("test", "-f", features, "-m", model, "-c", head, "-i", pair[0], "--headless")
    assert "person 0: 5 photos" in seen.out
    assert not run("evaluate", "-f", features, "-c", head, "--bootstrap", 0, "-o", f"{remote}/report").status
    assert (file_path(remote) / "report" / "evaluation.json").is_file()


def test_a_killed_extraction_goes_on(remote, suite):
    features = file_path(f"{remote}/killed")
    words = (
        "extract_features.py",
        "-p",
        f"{remote}/faces",
        "-m",
        suite["extractor"],
        "-f",
        features,
        "--batch_size",
        4,
    )
    process = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE
    while not files_in(features) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = run_script(*words)
    assert result.returncode == 0, result.stderr
    embedded, unchanged = map(int, re.search(r"(\d+) embedded.*?(\d+) unchanged", result.stdout).groups())
    assert embedded + unchanged == 35 and unchanged
    expected = {name: data for name, data in files_in(suite["features"]).items() if "/" in name}
    assert without_times(files_in(features)) == without_times(expected)


def test_no_two_processes_get_the_same_name(s3):
    folder = file_path(f"{s3}/taken")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, folder.as_uri(), who], cwd=ROOT) for who in "ab"]
    assert [writer.wait(DEADLINE) for writer in writers] == [0, 0]
    written = collections.Counter(path.read_text() for path in folder.iterdir())
    assert written == collections.Counter(f"{who} {number}" for who in "ab" for number in range(20))


def test_no_old_list_is_taken_for_the_present(s3):
    folder, client = file_path(f"{s3}/present"), boto3.client("s3")
    client.put_object(Bucket="bucket", Key="present/a.txt", Body=b"old")
    assert [path.name for path in folder.iterdir()] == ["a.txt"]
    before = (folder / "a.txt").stat()
    client.put_object(Bucket="bucket", Key="present/a.txt", Body=b"new")  # in the same second, of the same size
    client.put_object(Bucket="bucket", Key="present/b/c.txt", Body=b"")
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b"] and (folder / "b" / "c.txt").is_file()
    assert (folder / "a.txt").read_bytes() == b"new" and (folder / "a.txt").stat() != before
    for bucket in (file_path(s3), listed(file_path(f"{s3}/"))):
        assert bucket.is_dir() and bucket / "present" in list(bucket.iterdir()) and (bucket / "present" / "b").is_dir()
    client.delete_object(Bucket="bucket", Key="present/b/c.txt")
    assert not (folder / "b").exists()


@pytest.mark.parametrize(
    ("address", "environment", "message"),
    [
        (
            "s3://bucket/faces",
            {"AWS_ENDPOINT_URL": "http://ada:secret@127.0.0.1:9", "AWS_MAX_ATTEMPTS": "2"},
            "cannot be reached",
        ),
        ("s3://nobody/faces", {}, "s3://nobody/faces is not a folder"),
        ("s3://bucket/nobody", {}, "s3://bucket/nobody is not a folder"),
    ],
)
def test_a_storage_that_is_away_is_one_error_line(address, environment, message, s3, suite, tmp_path):
    words = ("-p", address, "-m", suite["extractor"], "-f", tmp_path / "features")
    result = run_script("extract_features.py", *words, env={**os.environ, **environment})
    assert_one_error_line(result, message)
    assert "secret" not in result.stderr
