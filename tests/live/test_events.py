"""Event lines: in a file, on standard output, and with the right names."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from utils.cli import InputError
from utils.files import UNFINISHED
from utils.live.events import STDOUT, EventLog, event_line
from utils.live.outputs import check_outputs
from utils.media.images import write_image
from utils.media.sources import PhotoSource
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace


def test_an_older_file_is_replaced_at_the_end(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("of an earlier run")
    EventLog(path).close()  # there was no frame
    assert path.read_text() == "of an earlier run"
    log = EventLog(path)
    log.write({"frame": 0})
    (left,) = tmp_path.glob(f"{UNFINISHED}*")  # what a kill leaves
    assert left.read_text() == '{"frame": 0}\n' and path.read_text() == "of an earlier run"
    log.close()
    assert path.read_text() == '{"frame": 0}\n' and list(tmp_path.iterdir()) == [path]


def test_a_cameras_lines_can_be_followed(tmp_path):
    """Whoever reads the file during the run sees them under its name, and earlier runs are kept."""
    path = tmp_path / "events.jsonl"
    EventLog(path, endless=True).close()  # there was no frame
    assert not path.exists()
    for run in range(3):
        log = EventLog(path, endless=True)
        log.write({"run": run})
        assert path.read_text() == f'{{"run": {run}}}\n' and path.stat().st_mode & 0o777 == 0o600
        if run < 2:  # the last run is killed
            log.close()
    kept = {older.name: json.loads(older.read_text()) for older in tmp_path.iterdir()}
    assert kept == {"events.jsonl": {"run": 2}, "events.1.jsonl": {"run": 0}, "events.2.jsonl": {"run": 1}}


def test_standard_output_gets_ascii_json(tmp_path, capsys):
    log = EventLog(STDOUT, sys.stdout)
    log.write({"name": "Zoë"})
    log.close()
    out = capsys.readouterr().out
    assert out.isascii() and json.loads(out) == {"name": "Zoë"}


@pytest.mark.fault
def test_a_full_device_is_named():
    with pytest.raises(OSError, match="No space left") as info:
        EventLog(Path("/dev/full")).write({})
    assert info.value.filename == "/dev/full"


@pytest.mark.fault
def test_a_pipe_whose_reader_leaves_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log = EventLog(tmp_path / "pipe")
    log.write({"frame": 0})
    os.close(reader)
    with pytest.raises(InputError, match="nobody reads"):
        log.write({"frame": 1})


def test_events_replace_no_photo(tmp_path):
    photo = tmp_path / "photos" / "ada.png"
    write_image(photo, np.zeros((9, 9, 3), np.uint8))
    before = photo.read_bytes()
    with pytest.raises(InputError, match="another kind"):
        check_outputs(None, photo, PhotoSource(photo.parent), photo.parent)
    assert photo.read_bytes() == before


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_names_are_right_in_every_locale(encoding, monkeypatch):
    errors = "surrogateescape"
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode(encoding, errors))
    name = "Zoë 写真".encode().decode(encoding, errors)  # as Python lists the folder
    frame = Frame(np.zeros((9, 9, 3), np.uint8), 0.0, name)
    line = event_line(frame, [NamedFace((0, 0, 9, 9), name, 0.9), NamedFace((0, 0, 9, 9), None, 0.1)])
    assert [face["name"] for face in line["faces"]] == ["Zoë 写真", None] and line["image"] == "Zoë 写真"


def test_faces_of_an_unknown_kind_are_marked():
    faces = [NamedFace((0, 0, 9, 9), "ada", 0.9, kind_known=known) for known in (None, True, False)]
    entries = event_line(Frame(np.zeros((9, 9, 3), np.uint8), 0.0), faces)["faces"]
    assert "kind_known" not in entries[0] and [entry["kind_known"] for entry in entries[1:]] == [True, False]
