"""selfies2face.py: which photos it takes, what a second run does, and what --max_size changes."""

import re

import cv2
import numpy as np
import pytest

import selfies2face
from utils.faces.alignment import CHIP_SIZE
from utils.faces.detection import load_detector
from utils.faces.quality import head_pose
from utils.features.extractor import load_extractor
from utils.media.images import read_image, write_image
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie


def test_photos_of_one_person_are_taken(tmp_path, capsys):
    rng = np.random.default_rng(9)
    large, other = (draw_selfie(sample_identity(number), rng) for number in (101, 102))
    small = cv2.resize(other, (160, 160), interpolation=cv2.INTER_AREA)
    passer_by = np.full((480, 640, 3), 120, np.uint8)
    passer_by[:, :480] = large
    passer_by[:160, 480:] = small
    folder = tmp_path / "selfies" / "ada b"
    write_image(folder / "one.jpg", large)
    write_image(folder / "one.png", other)
    write_image(folder / "pair.jpg", np.hstack([large, other]))
    write_image(folder / "passer-by.jpg", passer_by)
    write_image(folder / "wall.jpg", np.full((300, 300, 3), 90, np.uint8))
    (folder / "broken.heic").write_bytes(b"broken")
    faces = tmp_path / "faces"
    line = ["--face_selfies", str(tmp_path / "selfies"), "--faces_path", str(faces)]
    assert selfies2face.main(line) == 0
    out = capsys.readouterr().out
    assert "1 person, 6 photos: 3 faces saved" in out
    assert "pair.jpg: 2 faces" in out and "wall.jpg: no face found" in out and "broken.heic: cannot be decoded" in out
    expected = ["one_jpg.png", "one_png.png", "passer-by_jpg.png"]
    assert sorted(path.name for path in (faces / "ada b").iterdir()) == expected
    assert {read_image(path).shape for path in (faces / "ada b").iterdir()} == {(CHIP_SIZE, CHIP_SIZE, 3)}

    assert selfies2face.main(line) == 0
    assert "0 faces saved, 3 unchanged" in capsys.readouterr().out
    assert selfies2face.main([*line, "--largest"]) == 0
    assert "1 face saved, 3 unchanged" in capsys.readouterr().out


def test_selfies_stay_and_names_do_not_collide(tmp_path, capsys):
    photo = draw_selfie(sample_identity(101), np.random.default_rng(1))
    folder = tmp_path / "selfies" / "ada"
    for name in ("a.jpg", "a.JPG", "a.png"):
        write_image(folder / name, photo)
    selfies = ["--face_selfies", str(tmp_path / "selfies")]
    assert selfies2face.main([*selfies, "--faces_path", str(tmp_path / "selfies")]) == 2
    assert "choose another" in capsys.readouterr().err
    assert selfies2face.main([*selfies, "--faces_path", str(tmp_path / "faces")]) == 0
    assert len(list((tmp_path / "faces" / "ada").iterdir())) == 3
    # A photo that is no longer taken leaves no face behind, and one bad photo does not end the run.
    write_image(folder / "a.jpg", np.full((100, 100, 3), 90, np.uint8))
    write_image(folder / f"{'x' * 249}.png", photo)
    assert selfies2face.main([*selfies, "--faces_path", str(tmp_path / "faces")]) == 0
    assert "left out: 2" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "faces" / "ada").iterdir()) == ["a_JPG.png", "a_png.png"]


@pytest.mark.slow
def test_any_search_size_finds_the_same_faces(extractor_path, tmp_path, capsys):
    embed = load_extractor(extractor_path).embed
    folder = tmp_path / "selfies" / "ada"
    rng = np.random.default_rng(2)
    for number in (101, 102):
        selfie = draw_selfie(sample_identity(number), rng)
        write_image(folder / f"{number}.jpg", cv2.resize(selfie, (2600, 2600), interpolation=cv2.INTER_CUBIC))
    line = ["--face_selfies", str(tmp_path / "selfies"), "--faces_path"]
    features = []
    for name, words in (("plain", []), ("full", ["--max_size", "0"]), ("one", ["--jobs", "1", "--max_size", "700"])):
        assert selfies2face.main([*line, str(tmp_path / name), *words]) == 0
        assert "2 faces saved" in capsys.readouterr().out
        features.append(embed([read_image(path) for path in sorted((tmp_path / name / "ada").iterdir())]))
    for other in features[1:]:
        assert np.linalg.norm(other - features[0], axis=1).max() < 0.4  # one person's photos are up to 0.6 apart
    # A face's size is that in the photo, not in the copy that is searched.
    assert selfies2face.main([*line, str(tmp_path / "large"), "--min_size", "600"]) == 0
    assert "2 faces saved" in capsys.readouterr().out
    assert selfies2face.main([*line, str(tmp_path / "larger"), "--min_size", "2500"]) == 0
    assert "0 faces saved" in capsys.readouterr().out


def test_every_file_is_accounted_for(tmp_path, capsys):
    photo = draw_selfie(sample_identity(101), np.random.default_rng(1))
    selfies, faces = tmp_path / "selfies", tmp_path / "faces"
    for name in ("ada/a.jpg", "ada/2020/a.jpg", "eve/old/a.jpg", "loose.jpg"):
        write_image(selfies / name, photo)
    write_image(selfies / "ada" / "wall.jpg", np.full((300, 300, 3), 90, np.uint8))
    for name in ("ada/clip.mp4", "bob/clip.mov"):
        (selfies / name).parent.mkdir(exist_ok=True)
        (selfies / name).write_bytes(b"a film")
    line = ["--face_selfies", str(selfies), "--faces_path", str(faces)]
    assert selfies2face.main(line) == 0
    out = capsys.readouterr().out
    assert "3 people, 2 photos: 1 face saved, 0 unchanged, 1 left out" in out
    assert "each folder is one person: ada, bob, eve" in out
    assert f"  {selfies / 'eve' / 'old'}: 1 file\n" in out and f"  {selfies / 'loose.jpg'}\n" in out
    assert "not read: 5 of 7 files: " in out and "2 in nested folders" in out and "2 videos" in out
    assert "no photo read of 2 people" in out and "  bob: 1 video" in out and "  eve: 1 in nested folders" in out
    assert selfies2face.main([*line, "--recursive"]) == 0
    out = capsys.readouterr().out
    assert "3 people, 4 photos: 2 faces saved, 1 unchanged, 1 left out" in out and "not read: 3 of 7 files" in out
    assert len(list((faces / "ada").iterdir())) == 2 and len(list((faces / "eve").iterdir())) == 1
    assert selfies2face.main([*line, "--recursive"]) == 0
    assert "0 faces saved, 3 unchanged" in capsys.readouterr().out


def test_turned_small_and_missing_faces_have_a_reason(tmp_path, capsys):
    photo = draw_selfie(sample_identity(101), np.random.default_rng(1))
    folder = tmp_path / "selfies" / "ada"
    write_image(folder / "upside down.png", photo[::-1, ::-1])
    write_image(folder / "small.png", cv2.resize(photo, (90, 90), interpolation=cv2.INTER_AREA))
    write_image(folder / "wall.png", np.full((300, 300, 3), 90, np.uint8))
    line = ["--face_selfies", str(tmp_path / "selfies"), "--faces_path", str(tmp_path / "faces")]
    assert selfies2face.main([*line, "--detector", "retinaface"]) == 0
    out = capsys.readouterr().out
    assert "1 face saved" in out and "left out: 2" in out
    assert re.search(r"small.png: no face found: 1 face of \d+ px is smaller than --min_size 40", out)
    assert "wall.png: no face found\n" in out
    (face,) = load_detector()(read_image(tmp_path / "faces" / "ada" / "upside down_png.png"))
    assert abs(head_pose(face.landmarks).roll) < 15


def test_the_largest_of_several_faces_is_called_unsure(tmp_path, capsys):
    rng = np.random.default_rng(3)
    ada, bea = (draw_selfie(sample_identity(number), rng) for number in (900, 901))
    write_image(tmp_path / "selfies" / "ada" / "pair.png", np.hstack([bea, ada]))
    line = ["--face_selfies", str(tmp_path / "selfies"), "--faces_path", str(tmp_path / "faces")]
    assert selfies2face.main([*line, "--largest"]) == 0
    out = capsys.readouterr().out
    assert "1 face saved" in out and "pair.png: took the main one of 2 faces" in out
    assert selfies2face.main([*line, "--model_path", "anything"]) == 2
    assert "it needs --largest" in capsys.readouterr().err


@pytest.mark.slow
def test_a_persons_photos_say_which_face_is_theirs(extractor_path, tmp_path, capsys):
    rng = np.random.default_rng(3)

    def pair(left: int, right: int) -> np.ndarray:
        return np.hstack([draw_selfie(sample_identity(number), rng) for number in (left, right)])

    folder = tmp_path / "selfies"
    write_image(folder / "ada" / "alone.png", draw_selfie(sample_identity(900), rng))
    write_image(folder / "ada" / "left.png", pair(900, 901))
    write_image(folder / "ada" / "right.png", pair(902, 900))
    write_image(folder / "cem" / "once.png", pair(903, 904))
    faces = tmp_path / "faces"
    line = ["--face_selfies", str(folder), "--faces_path", str(faces), "--largest", "--model_path", str(extractor_path)]
    assert selfies2face.main(line) == 0
    out = capsys.readouterr().out
    assert "3 faces saved" in out and "once.png: unsure which of 2 faces is cem's" in out
    paths = sorted((faces / "ada").iterdir())
    assert len(paths) == 3 and not list((faces / "cem").glob("*"))
    first, *others = load_extractor(extractor_path).embed([read_image(path) for path in paths])
    assert np.linalg.norm(np.array(others) - first, axis=1).max() < 0.5
    assert selfies2face.main(line) == 0
    assert "0 faces saved, 3 unchanged" in capsys.readouterr().out
