"""Albums: whose photo each file is, and why a file is not read."""

import os
import unicodedata

import pytest

from utils.cli import InputError
from utils.files import spellings, subfolder
from utils.media.albums import check_has_photos, count_unread, describe_unread, read_album, report_unread


def make_files(folder, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")


@pytest.fixture
def album_folder(tmp_path):
    make_files(tmp_path, "ada/a.jpg", "ada/b.PNG", "ada/clip.mp4", "ada/notes.txt", "ada/.hidden.jpg", "ada/README")
    make_files(tmp_path, "ada/2019/a.jpg", "ada/2019/deep/c.jpg", "ada/2019/d.mov", "ada/.cache/e.jpg")
    make_files(tmp_path, "bob/only.mp4", "eve/nested/x.jpg", "loose.jpg", "film.avi", "__MACOSX/ada/a.jpg", ".git/x")
    (tmp_path / "nobody").mkdir()
    os.mkfifo(tmp_path / "ada" / "pipe.jpg")
    return tmp_path


def count_files(folder) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


@pytest.mark.parametrize("recursive", [False, True])
def test_every_file_is_counted_once(album_folder, recursive):
    album = read_album(album_folder, recursive)
    assert len(album.photos) + count_unread(album.all_unread) == count_files(album_folder)
    assert len(set(album.photos)) == len(album.photos) == (5 if recursive else 2)


def test_the_reasons_are_named(album_folder):
    text = describe_unread(read_album(album_folder, False).all_unread)
    for part in (
        "4 in nested folders: selfies2face.py --recursive reads them",
        "3 videos: capture.py",
        "3 in folders whose names begin with . or __",
        "1 loose photo: put",
        "1 .txt file",
        "1 hidden file",
        "1 special file (links",
        "1 file of other kinds",
    ):
        assert part in text, text
    by_name = {person.name: describe_unread(person.unread) for person in read_album(album_folder, False).people}
    assert by_name["bob"].startswith("1 video") and "1 in nested folders" in by_name["eve"] and by_name["nobody"] == ""


def test_nested_photos_get_names_of_their_own(tmp_path):
    make_files(tmp_path, "ada/a.jpg", "ada/x/a.jpg", "ada/y/a.jpg", "ada/y/x/a.jpg", "ada/a_jpg.png")
    (person,) = read_album(tmp_path, True).people
    assert len(set(person.chip_names.values())) == 5
    assert person.chip_names[tmp_path / "ada" / "a.jpg"] == "a_jpg.png"
    assert read_album(tmp_path, True).people[0].chip_names == person.chip_names  # so a second run finds them


def test_two_spellings_of_a_name_are_one_person(tmp_path):
    names = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    for name in names:
        make_files(tmp_path, f"{name}/a.jpg")
    (person,) = read_album(tmp_path, False).people
    assert person.name == names[0] and len(person.folders) == 2
    assert len(set(person.chip_names.values())) == len(person.chip_names) == 2


def test_a_name_that_one_spelling_makes_too_long_is_one_person(tmp_path):
    name = "é" * 127  # 254 bytes, 381 in NFD
    make_files(tmp_path, f"{name}/a.jpg")
    assert spellings(tmp_path, name) == [tmp_path / name] and subfolder(tmp_path / "missing", name).name == name


def test_a_link_to_the_album_itself_ends(tmp_path):
    make_files(tmp_path, "ada/a.jpg")
    (tmp_path / "ada" / "up").symlink_to(tmp_path, target_is_directory=True)
    assert len(read_album(tmp_path, True).photos) == 1


def test_a_folder_that_cannot_be_opened_stops_nobody(tmp_path, monkeypatch):
    make_files(tmp_path, "ada/a.jpg", "eve/a.jpg")
    scan = os.scandir

    def refuse(path):
        if os.path.basename(path) == "eve":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    album = read_album(tmp_path, False)
    assert len(album.photos) == 1 and album.problems == [f"{tmp_path / 'eve'}: Permission denied"]


def test_an_album_without_photos_says_what_it_has(tmp_path):
    make_files(tmp_path, "ada/a.mp4", "ada/x/a.jpg")
    with pytest.raises(InputError, match=r"no photos in its 1 person folder; 1 video: .*; 1 in nested folders"):
        check_has_photos(read_album(tmp_path, False), tmp_path)


def test_what_only_has_a_photos_name_is_named(tmp_path, capsys):
    make_files(tmp_path, "ada/a.jpg")
    os.mkfifo(tmp_path / "ada" / "pipe.jpg")
    (tmp_path / "ada" / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "ada" / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "ada" / "zeros.jpg").symlink_to("/dev/zero")
    album = read_album(tmp_path)
    report_unread(album)
    out = capsys.readouterr().out
    assert [photo.name for photo in album.photos] == ["a.jpg"] and "not read: 5 of 6 files" in out
    for part in ("pipe.jpg: a pipe", "gone.jpg: a link to nothing", "circle.jpg: a link to n", "zeros.jpg: a device"):
        assert part in out
