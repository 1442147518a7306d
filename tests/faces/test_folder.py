"""Saving faces under numbered names."""

import errno
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from utils.cli import describe_error
from utils.faces.folder import FaceSaver
from utils.media.images import list_images, read_image

CHIP = np.full((8, 8, 3), 90, np.uint8)


def save_faces(path: Path, gray: int, count: int) -> None:
    """What one run of capture.py does to the folder."""
    saver = FaceSaver(path)
    for _ in range(count):
        saver.save(np.full((8, 8, 3), gray, np.uint8))


@pytest.mark.fault
def test_two_runs_on_one_folder_lose_no_face(tmp_path):
    runs = [multiprocessing.Process(target=save_faces, args=(tmp_path, gray, 45)) for gray in (10, 200)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
        assert run.exitcode == 0
    grays = [int(read_image(path)[0, 0, 0]) for path in tmp_path.iterdir()]
    assert (grays.count(10), grays.count(200), len(grays)) == (45, 45, 90)


def kill_while_saving(path: Path) -> None:
    """Save one face, and be killed at the moment when the next one is about to get its name."""
    saver = FaceSaver(path)
    saver.save(CHIP)
    os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    saver.save(CHIP)


@pytest.mark.kill
def test_a_kill_leaves_whole_faces_only(tmp_path):
    run = multiprocessing.Process(target=kill_while_saving, args=(tmp_path,))
    run.start()
    run.join()
    assert run.exitcode == -signal.SIGKILL
    assert [path.name for path in list_images(tmp_path)] == [f"{tmp_path.name}_0.png"]
    save_faces(tmp_path, 10, 3)  # another run goes on after it
    faces = list_images(tmp_path)
    assert len(faces) == 4 and all(read_image(face).shape == (8, 8, 3) for face in faces)


@pytest.mark.fault
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_failed_save_leaves_no_file(tmp_path, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    saver = FaceSaver(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "link" if number == errno.EACCES else "fsync", fail)
        with pytest.raises(OSError, match=os.strerror(number)) as error:
            saver.save(CHIP)
    assert str(tmp_path) in describe_error(error.value)
    assert list(tmp_path.iterdir()) == [] and saver.saved == 0
    assert saver.save(CHIP).is_file()


def test_a_number_of_too_many_digits_is_not_ours(tmp_path):
    (tmp_path / f"{tmp_path.name}_{'9' * 200}.png").touch()
    assert FaceSaver(tmp_path).save(CHIP).name == f"{tmp_path.name}_0.png"


def test_names_go_on_and_undo_deletes_only_own_faces(tmp_path):
    (tmp_path / f"{tmp_path.name}_7.png").write_bytes(b"of an earlier run")
    saver = FaceSaver(tmp_path)
    assert saver.save(CHIP).name == f"{tmp_path.name}_8.png"
    assert saver.undo().name == f"{tmp_path.name}_8.png" and saver.undo() is None
    assert len(list(tmp_path.iterdir())) == 1
