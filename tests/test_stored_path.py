import pickle
import uuid

import pytest

from utils import cli
from utils.files import (
    atomic_path,
    file_sha256,
    make_folder,
    put_aside,
    read_json,
    sha256,
    spellings,
    take_free_name,
    write_bytes,
    write_json,
    write_new,
)
from utils.storage import StorageError, is_remote, listed, local_copy
from utils.stored_path import StoredPath


@pytest.fixture
def folder():
    """An empty folder in fsspec's memory."""
    return cli.file_path(f"memory://{uuid.uuid4().hex}/faces/")


def test_paths_behave_as_those_of_this_machine(folder, tmp_path):
    for root in (folder, tmp_path / "faces"):
        make_folder(root)
        for name in ("ada/1.png", "ada/2.png", "bob/a#b %20?.png"):
            write_bytes(root / name, name.encode())
        assert sorted(path.name for path in root.iterdir()) == ["ada", "bob"]
        assert all(path.is_dir() and not path.is_file() for path in root.iterdir())
        photo = root / "ada" / "1.png"
        assert (photo.name, photo.stem, photo.suffix, photo.parent.name) == ("1.png", "1", ".png", "ada")
        assert photo.is_file() and photo.stat().st_size == 9 and photo.read_bytes() == b"ada/1.png"
        assert (root / "bob" / "../ada/1.png").read_text() == "ada/1.png"
        assert (root / "bob" / "../ada/1.png").samefile(photo) and not photo.samefile(root / "ada" / "2.png")
        photo.unlink()
        photo.unlink(missing_ok=True)
        assert not photo.exists()
        for read in (photo.read_bytes, photo.stat):
            with pytest.raises(FileNotFoundError) as caught:
                read()
            assert str(root) in str(caught.value)


def test_a_list_answers_for_the_moment_it_was_made(folder):
    assert not listed(folder).exists() and not list(listed(folder).iterdir()) and not list(folder.iterdir())
    write_bytes(folder / "ada" / "deep" / "1.png", b"1")
    seen = listed(folder)
    write_bytes(folder / "ada" / "2.png", b"2")
    assert seen.is_dir() and [path.name for path in (seen / "ada").iterdir()] == ["deep"]
    assert (seen / "ada" / "deep" / "1.png").stat() == (folder / "ada" / "deep" / "1.png").stat()
    assert [path.name for path in (seen / "ada").glob("d*")] == ["deep"] and not list(seen.glob("*.png"))
    assert not (seen / "ada" / "2.png").exists() and not (seen / "eve").exists()
    assert (seen / "ada").parent.is_dir() and seen.parent.is_dir()
    assert (folder / "ada" / "2.png").exists() and (seen / "ada" / "2.png").read_bytes() == b"2"
    assert seen == folder and hash(seen) == hash(folder)
    sent = pickle.loads(pickle.dumps(seen))
    assert sent == folder and (sent / "ada" / "2.png").exists()  # a list does not travel


def test_names_are_taken_once(folder):
    names = [folder / f"ada_{number}.png" for number in range(3)]
    assert write_new(names, b"first") == names[0]
    assert write_new(names, b"second") == names[1]
    assert write_new(names, b"second") == names[1]  # as if its answer had been lost
    assert take_free_name(names[1], names[2:]) == names[2]
    with pytest.raises(FileExistsError):
        write_new(names, b"fourth")
    put_aside(names[0])
    assert (folder / "ada_0.1.png").read_bytes() == b"first"


def test_writers_and_readers_take_addresses(folder):
    write_json(folder / "a.json", {"a": 1})
    assert read_json(folder / "a.json") == {"a": 1}
    with atomic_path(folder / "b.keras") as temporary:
        assert not is_remote(temporary) and temporary.suffix == ".keras"
        temporary.write_bytes(b"model")
        assert not (folder / "b.keras").exists()
    assert file_sha256(folder / "b.keras") == sha256(b"model")
    with pytest.raises(ValueError, match="write_bytes"):
        (folder / "a.json").open("w")
    with pytest.raises(KeyError), atomic_path(folder / "b.keras") as temporary:
        raise KeyError
    assert [spelling.name for spelling in spellings(folder.parent, "faces")] == ["faces"]


def test_a_local_copy_is_fetched_again_when_it_changed(folder):
    write_bytes(folder / "a.keras", b"one")
    copy = local_copy(folder / "a.keras")
    assert (copy.name, copy.read_bytes()) == ("a.keras", b"one")
    assert local_copy(folder / "a.keras") == copy == local_copy(copy)
    write_bytes(folder / "a.keras", b"changed")
    assert local_copy(folder / "a.keras").read_bytes() == b"changed"


def test_a_failing_storage_is_no_error_of_a_file(folder, monkeypatch):
    class Away:
        def __getattr__(self, name):
            def fail(*_, **__):
                raise ConnectionError("refused")

            return fail

    monkeypatch.setattr(type(folder), "fs", Away())
    for call in (folder.read_bytes, folder.is_file, folder.listed, lambda: folder.create(b"x"), folder.unlink):
        with pytest.raises(StorageError, match="cannot be reached: refused"):
            call()


def test_other_storage_gets_files_by_renaming(tmp_path):
    root = StoredPath(f"file://{tmp_path}")
    write_bytes(root / "new" / "a.txt", b"x")
    write_bytes(root / "new" / "a.txt", b"y")
    make_folder(root / "empty")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"y" and (tmp_path / "empty").is_dir()
    (root / "empty").rmdir()
    assert not (tmp_path / "empty").exists()
