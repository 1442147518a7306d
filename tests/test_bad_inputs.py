"""The same bad inputs against every script: each is named with a reason, and the good one beside it gets through."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bad_inputs
import cv2
import numpy as np
import pytest
from bad_inputs import GOOD, HIDDEN_NAMES, LONGEST_NAME, ODD_NAMES, OTHER_FILES
from support import file_contents, webcam_view, write_clip

from utils.features.feature_files import load_person
from utils.media.images import png_name, read_image

pytestmark = [pytest.mark.slow, pytest.mark.bad_input, pytest.mark.usefixtures("models_load_once")]


@dataclass(frozen=True)
class Photos:
    """A folder with a person's folder of good, odd and bad photos."""

    album: Path  # the folder of people
    marker: Path  # a file that exists if a photo ran code
    faces: list[str]  # names of photos that show the good one's face
    nobody: list[str]  # names of files that cannot be decoded, or show no face that is taken
    special: list[str]  # what has a photo's name and is no file
    files: int  # in all

    @property
    def folder(self) -> Path:
        return self.album / "ada"

    @property
    def photos(self) -> list[str]:
        return self.faces + self.nobody


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Photos:
    root = tmp_path_factory.mktemp("photos")
    marker, folder = root / "code ran", root / "album" / "ada"
    picture = bad_inputs.good_photo()
    good = bad_inputs.encode(picture, "PNG")
    odd, bad = bad_inputs.odd_photos(picture), bad_inputs.bad_photos(picture, marker)
    named = dict.fromkeys([*ODD_NAMES, LONGEST_NAME, *HIDDEN_NAMES], good)
    for files in (odd, bad, named, OTHER_FILES, {GOOD: good}):
        bad_inputs.write_files(folder, files)
    special = bad_inputs.write_special_files(folder)
    faces = [*odd, *map(os.fsdecode, ODD_NAMES), GOOD]
    files = sum(len(names) for _, _, names in os.walk(folder))
    return Photos(root / "album", marker, faces, [*bad, os.fsdecode(LONGEST_NAME)], special, files)


def folder_state(folder: Path) -> dict[str, tuple[int, int]]:
    """The size and time of everything in a folder, to see that nothing has changed."""
    states = {str(path): path.lstat() for path in folder.rglob("*")}
    return {path: (state.st_size, state.st_mtime_ns) for path, state in states.items()}


@pytest.fixture
def unchanged(photos) -> Iterator[None]:
    """The photos stay as they are, and none of them runs code."""
    before = folder_state(photos.album)
    yield
    assert folder_state(photos.album) == before and not photos.marker.exists()


def numbers(text: str, pattern: str) -> list[int]:
    """The numbers of the groups of a pattern that a text has to hold."""
    found = re.search(pattern, text)
    assert found, text
    return [int(part) for part in found.groups()]


def likeness(chip: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two chips' brightness, which no codec, orientation or scale of levels changes much."""
    grays = [cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (56, 56)).ravel() for image in (chip, other)]
    return float(np.corrcoef(grays)[0, 1])


def test_selfies2face_takes_the_good_photos(photos, unchanged, run, tally, tmp_path):
    ended = run("selfies2face", "--face_selfies", photos.album, "--faces_path", tmp_path / "faces")
    made = {path.name for path in (tmp_path / "faces" / "ada").iterdir()}
    named = [name for name in photos.nobody if ended.names(name)]
    lost = [name for name in photos.faces if png_name(name) not in made]
    tally.bad_inputs(photos.nobody, named)
    tally.good_images(photos.faces, lost)
    specials = [name for name in photos.special if name != "folder.jpg"]
    tally.bad_inputs(specials, [name for name in specials if ended.names(name)])
    assert ended.status == 0 and not lost and set(named) == set(photos.nobody)
    assert len(made) == len(photos.faces)
    good = read_image(tmp_path / "faces" / "ada" / png_name(GOOD))
    alike = {name: likeness(good, read_image(tmp_path / "faces" / "ada" / png_name(name))) for name in photos.faces}
    assert min(alike.values()) > 0.9, sorted(alike.items(), key=lambda item: item[1])[:5]
    count, saved, left_out = numbers(
        ended.out, r"1 person, (\d+) photos: (\d+) faces saved, 0 unchanged, (\d+) left out"
    )
    unread, files = numbers(ended.out, r"not read: (\d+) of (\d+) files")
    assert count == saved + left_out and files == count + unread == photos.files
    assert all(ended.names(name) for name in specials)


def test_extract_features_embeds_the_good_images(photos, unchanged, suite, run, tally, tmp_path):
    line = ["--faces_path", photos.album, "--model_path", suite["extractor"], "--features", tmp_path / "features"]
    ended = run("extract_features", *line)
    embedded = {image.name for image in load_person(tmp_path / "features", "ada").manifest.images}
    lost = [name for name in photos.faces if name not in embedded]
    named = [name for name in photos.nobody if name in embedded or ended.names(name)]
    tally.bad_inputs(photos.nobody, named)
    tally.good_images(photos.faces, lost)
    assert ended.status == 0 and not lost and set(named) == set(photos.nobody)
    parts = r"(\d+) files in all: (\d+) embedded, 0 unchanged, (\d+) skipped, 0 failed, (\d+) not read"
    files, done, skipped, unread = numbers(ended.out, parts)
    assert files == done + skipped + unread == photos.files and done == len(embedded)
    again = run("extract_features", *line)
    assert f"0 embedded, {done} unchanged" in again.out and f"{skipped} skipped" in again.out


def test_extract_features_aligns_odd_shapes(photos, suite, run, tally, tmp_path):
    shapes = ["1 pixel.png", "wide strip.png", "high strip.png", "one row.png", "empty.jpg", GOOD]
    bad_inputs.write_files(tmp_path / "faces" / "ada", {name: (photos.folder / name).read_bytes() for name in shapes})
    line = ["--faces_path", tmp_path / "faces", "--model_path", suite["extractor"], "--features", tmp_path / "features"]
    ended = run("extract_features", *line, "--align", "1")
    embedded = {image.name for image in load_person(tmp_path / "features", "ada").manifest.images}
    named = [name for name in shapes if name in embedded or ended.names(name)]
    tally.bad_inputs(shapes[:-1], named)
    tally.good_images([GOOD], [] if GOOD in embedded else [GOOD])
    assert ended.status == 0 and GOOD in embedded and named == shapes


def test_verify_compares_the_good_photos_of_a_folder(photos, unchanged, suite, run, tally):
    models = ["--model", suite["extractor"], "--classification", suite["head"]]
    ended = run("verify", photos.folder / GOOD, photos.folder, *models, "--json")
    answer = json.loads(ended.out)
    compared = {os.path.basename(face["photo"]) for face in answer["b"]["compared"]}
    lost = [name for name in photos.faces if name not in compared]
    named = [name for name in photos.nobody if name in compared or ended.names(name)]
    tally.bad_inputs(photos.nobody, named)
    tally.good_images(photos.faces, lost)
    assert ended.status == 0 and answer["same"] and not lost and set(named) == set(photos.nobody)
    assert len(compared) + len(answer["b"]["left_out"]) == len(photos.photos)
    text = "\n".join(answer["b"]["not_read"])
    assert all(f"{name}: " in text for name in photos.special) and all(name in text for name in OTHER_FILES)


def test_verify_answers_or_names_each_photo(photos, unchanged, suite, run, tally):
    models = ["--model", suite["extractor"], "--classification", suite["head"]]
    good = photos.folder / GOOD
    specials = [name for name in photos.special if name != "pipe.jpg"]  # it is waited for, with a word
    named, answered = [], []
    for name in [*photos.nobody, *specials]:
        ended = run("verify", good, photos.folder / name, *models)
        if ended.status != 2:
            answered.append(name)
        elif len(ended.err.splitlines()) == 1 and ended.err.startswith("error: ") and name in ended.err:
            named.append(name)
    for name in ("cmyk.jpg", *map(os.fsdecode, ODD_NAMES[:8])):
        assert run("verify", good, photos.folder / name, *models).status == 0, name
    tried = [*photos.nobody, *specials]
    tally.bad_inputs(tried, named + answered)
    assert set(named) | set(answered) == set(tried)
    assert set(answered) == {"two faces.png", os.fsdecode(LONGEST_NAME)}


def test_find_searches_for_the_good_photos(photos, unchanged, suite, run, tally):
    ended = run("find", photos.folder, *recognize(suite), "--json")
    answer = json.loads(ended.out)
    people = {os.path.basename(photo["photo"]): photo["faces"] for photo in answer["photos"]}
    lost = [name for name in photos.faces if not people.get(name)]
    named = [name for name in photos.nobody if name in people or ended.names(name)]
    tally.bad_inputs(photos.nobody, named)
    tally.good_images(photos.faces, lost)
    assert ended.status == 0 and not lost and set(named) == set(photos.nobody)
    assert len(people) + len(answer["unreadable"]) == len(photos.photos)
    assert [face["name"] for face in people[GOOD]] == ["person 1"]
    text = "\n".join(answer["not_read"])
    assert all(f"{name}: " in text for name in photos.special) and all(name in text for name in OTHER_FILES)


def test_find_searches_among_bad_pictures(photos, suite, run, tally, tmp_path):
    shutil.copytree(photos.folder, tmp_path / "unknown", symlinks=True, ignore=lambda *_: photos.special)
    chip = shutil.copy(next((suite["faces"] / "person 1").iterdir()), tmp_path / "unknown" / "chip.png")
    words = ["--unknown_dir", tmp_path / "unknown", *recognize(suite)[2:], "--json"]
    ended = run("find", photos.folder / GOOD, *words)
    answer = json.loads(ended.out)
    found = {os.path.basename(seen["chip"]) for face in answer["photos"][0]["faces"] for seen in face["seen"]}
    named = [name for name in photos.nobody if ended.names(name)]
    tally.bad_inputs(named, named)
    assert ended.status == 0 and chip.name in found and named and not found & set(named)
    assert answer["unknown_faces"] + len(answer["unknown_unreadable"]) == len(photos.photos) + 1
    assert run("find", photos.folder / GOOD, *words).out == ended.out


def recognize(suite, *words: object) -> list:
    return ["--features", suite["features"], "--model", suite["extractor"], "--classification", suite["head"], *words]


def read_events(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_test_recognizes_the_good_photos(photos, unchanged, suite, run, tally, tmp_path):
    out, events = tmp_path / "out", tmp_path / "events.jsonl"
    source = ["--image_path", photos.folder, "--headless", "--output", out, "--events", events]
    ended = run("test", *recognize(suite), *source)
    faces = {line["image"]: line["faces"] for line in read_events(events)}
    lost = [name for name in photos.faces if not faces.get(name)]
    named = [name for name in photos.nobody if name in faces or ended.names(name)]
    tally.bad_inputs(photos.nobody, named)
    tally.good_images(photos.faces, lost)
    assert ended.status == 0 and not lost and set(named) == set(photos.nobody)
    assert [face["name"] for face in faces[GOOD]] == ["person 1"]
    right = [name for name in photos.faces if [face["name"] for face in faces[name]] == ["person 1"]]
    assert len(right) > 0.9 * len(photos.faces)
    assert {path.name for path in out.iterdir()} == {
        png_name(name) for name in faces if len(name.encode(errors="replace")) < 251
    }
    assert ended.names(os.fsdecode(LONGEST_NAME))
    assert all(ended.names(name) for name in photos.special if name != "folder.jpg")


def test_test_names_each_photo_that_it_cannot_read(photos, unchanged, suite, run, tally):
    tried = ["empty.jpg", "huge.jpg", "cut at 50%.png", "PostScript.jpg", "pickle.png", "garbage.heic", "endless.tiff"]
    tried += ["socket.jpg", "device.jpg", "dangling.jpg", "loop.jpg"]
    named = []
    for name in tried:
        ended = run("test", *recognize(suite, "--image_path", photos.folder / name, "--headless"))
        if ended.status == 2 and ended.err.startswith("error: ") and name in ended.err:
            named.append(name)
    tally.bad_inputs(tried, named)
    assert named == tried


def test_capture_adds_to_a_folder_of_bad_photos(photos, run, tally, tmp_path):
    folder = tmp_path / "ada"
    shutil.copytree(photos.folder, folder, symlinks=True, ignore=lambda *_: photos.special)
    before = file_contents(folder)
    write_clip(tmp_path / "good.mp4", [webcam_view(seed=seed) for seed in range(6)])
    source = ["--video_path", tmp_path / "good.mp4", "--headless", "--every", 2, "--count", 2]
    ended = run("capture", "--output", folder, *source, "--gate", 0, "--same_person")
    unlike = run("capture", "--output", folder, *source, "--gate", 0)
    after = file_contents(folder)
    made = after.keys() - before.keys()
    tally.good_images(list(map(str, before)), [str(path) for path in before if after.get(path) != before[path]])
    assert ended.status == unlike.status == 0 and "2 faces saved" in ended.out
    assert {path.name for path in made} >= {"ada_0.png", "ada_1.png"} and before.items() <= after.items()


def test_export_compares_on_the_good_photos(photos, unchanged, suite, run, tally, tmp_path):
    line = ["--model", suite["extractor"], "--classification", suite["head"], "--format", "openvino"]
    ended = run("export", *line, "--faces_path", photos.album, "--output", tmp_path / "exported")
    named = [name for name in photos.nobody if ended.names(name)]
    tally.bad_inputs(named, named)  # 32 photos are drawn, and not all are met
    assert ended.status == 0 and named and "left out" in ended.err
    assert not any(ended.names(name) for name in photos.faces)


def test_evaluate_draws_pairs_of_bad_photos(photos, suite, run, tmp_path):
    faces = tmp_path / "faces"
    shutil.copytree(suite["faces"], faces)
    bad = [photos.folder / name for name in photos.nobody]
    images = sorted(faces.rglob("*.png"))
    for path, source in zip(images[::2], bad, strict=False):
        path.write_bytes(source.read_bytes())
    line = ["--features_path", suite["features"], "--classification", suite["head"], "--bootstrap", 20]
    ended = run("evaluate", *line, "--faces_path", faces, "--output", tmp_path / "report")
    assert ended.status == 0 and (tmp_path / "report" / "worst_pairs.png").stat().st_size > 10_000
