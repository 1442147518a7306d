"""A model's file is read in a process of its own first: an endless loop or a crash of the library is a refusal."""

import struct
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from support import DEADLINE, ROOT

from utils.cli import InputError
from utils.keras_models import read_layer_names, read_note
from utils.model_file import FileCheck, trust


def write_loop(path):
    """A file on which HDF5 1.14 and 2.0 work for ever: a part of its heap that is followed by itself."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
    data = bytearray(path.read_bytes())
    size_at = data.index(b"GCOL") + 24  # of the first object; with its header it wraps around to 0
    data[size_at : size_at + 8] = struct.pack("<Q", (1 << 64) - 16)
    path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.hostile
def test_an_endless_loop_in_the_library_is_one_line(tmp_path):
    path = tmp_path / "loop.h5"
    write_loop(path)
    with pytest.raises(InputError, match=r"loop\.h5 is damaged: reading it crashes, or never ends"):
        FileCheck(path).finish()


@pytest.mark.slow
def test_a_good_file_is_checked_once(tmp_path, monkeypatch):
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as file:
        file["weights"] = np.arange(6.0)
    FileCheck(path).finish()
    monkeypatch.setattr(subprocess, "Popen", None)
    FileCheck(path).finish()
    assert read_note(path, "note") is None
    with h5py.File(path, "a") as file:
        file["more"] = np.arange(6.0)
    with pytest.raises(TypeError):  # another content needs another check
        FileCheck(path)
    trust(path)
    FileCheck(path).finish()


@pytest.mark.slow
def test_a_users_own_limits_are_kept(tmp_path):
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as file:
        file["weights"] = np.arange(6.0)
    command = f"ulimit -v 1000000; exec {sys.executable} -m utils.model_file {path}"
    result = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("place", "value"), [(4, b"\xff"), (6, b"\x21"), (8, b"\x01"), (10, b"\x63"), (24, b"\xff" * 4), (42, b"\xff" * 4)]
)
def test_odd_zip_headers_are_one_line(tmp_path, place, value):
    """Versions, encryption, patched data, unknown methods, sizes and offsets that no reader of notes expects."""
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", '{"config": {"layers": []}}')
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + place
    data[at : at + len(value)] = value
    path.write_bytes(data)
    trust(path)  # what is read after the check
    assert read_layer_names(path) == set()
    try:
        assert read_note(path, "note") is None
    except InputError as error:
        assert len(str(error)) < 500


@pytest.mark.hostile
def test_damaged_hdf5_notes_are_one_line(tmp_path):
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        file["siamese_faces_head"] = np.frombuffer(b"{}", np.uint8)
    data = path.read_bytes().replace(b"SNOD", b"SNOT")
    path.write_bytes(data)
    trust(path)
    with pytest.raises(InputError, match=r"damaged\.h5 is not a Keras model, or it is damaged"):
        read_note(path, "siamese_faces_head")
