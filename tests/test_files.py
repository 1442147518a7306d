"""Files: atomic, private where they should be, without leftovers; JSON without NaN; one spelling of a name."""

import errno
import os
import time

import pytest

from utils.cli import InputError, clean_exit, describe_error
from utils.files import (
    STALE_SECONDS,
    UNFINISHED,
    atomic_path,
    group_spellings,
    is_existing_file,
    make_folder,
    put_aside,
    read_json,
    remove_stale_files,
    start_file,
    subfolder,
    take_name,
    write_bytes,
    write_json,
    write_new,
)


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_private_files_and_folders(tmp_path):
    write_bytes(tmp_path / "faces" / "ada" / "ada_0.png", b"x", private=True)
    assert mode(tmp_path / "faces") == mode(tmp_path / "faces" / "ada") == 0o700
    assert mode(tmp_path / "faces" / "ada" / "ada_0.png") == 0o600
    make_folder(tmp_path / "open")
    write_bytes(tmp_path / "open" / "a.png", b"x", private=True)
    write_bytes(tmp_path / "open" / "b.png", b"x")
    assert mode(tmp_path / "open") & 0o055 and mode(tmp_path / "open" / "a.png") == 0o600
    assert mode(tmp_path / "open" / "b.png") & 0o044
    (tmp_path / "open" / "a.png").chmod(0o640)  # on purpose
    write_bytes(tmp_path / "open" / "a.png", b"y", private=True)
    assert mode(tmp_path / "open" / "a.png") == 0o640
    with pytest.raises(InputError, match="a file is in the way"):
        make_folder(tmp_path / "open" / "a.png" / "b", private=True)


def test_old_unfinished_files_are_removed(tmp_path):
    old, new, other = (tmp_path / name for name in (f"{UNFINISHED}a.mp4", f"{UNFINISHED}b.mp4", "c.mp4"))
    for path in (old, new, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (0, time.time() - STALE_SECONDS - 60))
    (tmp_path / f"{UNFINISHED}folder").mkdir()
    remove_stale_files.cache_clear()
    write_bytes(tmp_path / "d.mp4", b"x")
    assert not old.exists() and new.exists() and other.exists() and (tmp_path / f"{UNFINISHED}folder").exists()


@pytest.mark.parametrize("has_links", [True, False])
def test_a_new_file_takes_the_first_free_name(tmp_path, monkeypatch, has_links):
    def refuse(*_):  # as FAT does
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    names = [tmp_path / f"{number}.png" for number in range(3)]
    names[0].write_bytes(b"of another run")
    assert write_new(names, b"new") == names[1] and names[1].read_bytes() == b"new" and mode(names[1]) == 0o600
    assert write_new(iter(names), b"newer") == names[2] and names[0].read_bytes() == b"of another run"
    with pytest.raises(FileExistsError):
        write_new(names, b"too many")
    put_aside(names[0])
    assert (tmp_path / "0.1.png").read_bytes() == b"of another run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.1.png", "0.png", "1.png", "2.png"]


def test_a_result_that_grows_is_private(tmp_path):
    path = tmp_path / "new" / "events.jsonl"
    take_name(start_file(path), path)
    assert mode(path) == 0o600 and mode(path.parent) == 0o700
    path.chmod(0o644)  # on purpose
    take_name(start_file(path), path)
    assert mode(path) == 0o644


@pytest.mark.fault
def test_a_full_disk_is_told_with_the_path(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text("before")

    @clean_exit
    def main(argv=None):
        with atomic_path(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert main([]) == 2
    assert capsys.readouterr().err == f"error: No space left on device: {path}\n"
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["a.json"]


def test_errors_name_no_temporary_files(tmp_path):
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(OSError) as error:
        write_json(tmp_path / "taken.json", {})
    assert describe_error(error.value).endswith("taken.json") and UNFINISHED not in describe_error(error.value)


@pytest.mark.fault
def test_a_lack_of_memory_is_one_line(capsys):
    @clean_exit
    def main(argv=None):
        raise MemoryError(argv[0])

    assert main([""]) == 2 and main(["of 9 GB"]) == 2
    assert capsys.readouterr().err == "error: not enough memory: \nerror: not enough memory: of 9 GB\n".replace(
        ": \n", "\n"
    )


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "1e999", "-1e400", "[1]", "{", "[" * 100_000, ""])
def test_only_json_objects_are_read(tmp_path, text):
    (tmp_path / "a.json").write_text(f'{{"a": {text}}}' if "N" in text or "I" in text or "e" in text else text)
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_json_is_written_without_nan(tmp_path):
    write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5, (float("inf"),)], "b": {"c": "NaN"}})
    assert read_json(tmp_path / "a.json") == {"a": [None, 1.5, [None]], "b": {"c": "NaN"}}


def test_spellings_of_a_name(tmp_path):
    composed, decomposed = "Jos\u00e9", "Jose\u0301"
    assert group_spellings(["b", decomposed, composed]) == {composed: [composed, decomposed], "b": ["b"]}
    assert subfolder(tmp_path, composed) == tmp_path / composed
    (tmp_path / decomposed).mkdir()
    assert subfolder(tmp_path, composed).name == decomposed
    (tmp_path / composed).mkdir()
    assert subfolder(tmp_path, composed).name == composed and subfolder(tmp_path, decomposed).name == decomposed
    assert not is_existing_file(tmp_path / ("x" * 300))
