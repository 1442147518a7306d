"""The whole suite on real people: six enrolled from their selfies, and a video that shows three of them."""

import importlib
import json
import shutil
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

import extract_features
import selfies2face
import train

MIN_PHOTOS, MAX_PHOTOS = 5, 10  # of each person that the head is trained on; twelve selfies would be too few
IN_THE_VIDEO = {"lin_manuel_miranda", "alex_lacamoire", "obama"}


@pytest.fixture(scope="module")
def head(real_data: Path, extractor_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head trained on other people: all with at least MIN_PHOTOS photos."""
    folder = tmp_path_factory.mktemp("lfw")
    with zipfile.ZipFile(real_data / "lfw90.zip") as archive:
        photos = {}
        for name in sorted(name for name in archive.namelist() if name.endswith(".jpg")):
            photos.setdefault(name.split("/")[1], []).append(name)
        people = [names for names in photos.values() if len(names) >= MIN_PHOTOS]
        archive.extractall(folder, [name for names in people for name in names[:MAX_PHOTOS]])
    features = ["--features", str(folder / "features")]
    line = ["--faces_path", str(folder / "lfw90"), "--model_path", str(extractor_path), *features, "--align", "1"]
    assert extract_features.main(line) == 0
    line = ["--features_path", str(folder / "features"), "--output_model", f"{folder}/similarity/", "--epochs", "15"]
    assert train.main([*line, "--normaliza", "0", "--far", "0.02"]) == 0
    return folder / "similarity"


def test_only_the_people_in_the_video_are_named(real_data, extractor_path, head, tmp_path, capsys):
    faces, features, events = tmp_path / "faces", tmp_path / "features", tmp_path / "events.jsonl"
    assert selfies2face.main(["--face_selfies", str(real_data / "selfies"), "--faces_path", str(faces)]) == 0
    assert "6 people, 12 photos: 12 faces saved" in capsys.readouterr().out
    line = ["--faces_path", str(faces), "--model_path", str(extractor_path), "--features", str(features)]
    assert extract_features.main(line) == 0
    line = ["--features", str(features), "--model", str(extractor_path), "--classification", str(head)]
    line += ["--video_path", str(real_data / "hamilton.mp4"), "--headless", "--events", str(events), "--normalize", "0"]
    assert importlib.import_module("test").main(line) == 0
    frames = [json.loads(text) for text in events.read_text().splitlines()]
    assert [frame["frame"] for frame in frames] == list(range(275))
    named = Counter(face["name"] for frame in frames for face in frame["faces"] if face["name"])
    print(dict(named))
    # He is in 149 frames, but small in the first twenty.
    assert named["lin_manuel_miranda"] >= 140
    # He is 23 pixels wide in twenty frames, then large and in full profile, where no name is given.
    assert named["alex_lacamoire"] >= 20
    assert set(named) <= IN_THE_VIDEO
    for frame in frames:
        names = [face["name"] for face in frame["faces"] if face["name"]]
        assert len(names) == len(set(names))
    # No flicker: a face that has a name keeps it.
    changes = Counter()
    for before, after in pairwise(frames):
        names = {face["track"]: face["name"] for face in before["faces"]}
        changes.update(
            face["track"] for face in after["faces"] if names.get(face["track"], face["name"]) != face["name"]
        )
    assert max(changes.values()) <= 2

    # When he is no longer enrolled, his face gets no name.
    shutil.rmtree(features / "lin_manuel_miranda")
    assert importlib.import_module("test").main(line) == 0
    frames = [json.loads(text) for text in events.read_text().splitlines()]
    his = [max(frame["faces"], key=lambda face: face["box"][3])["name"] for frame in frames[85:210] if frame["faces"]]
    assert len(his) >= 120 and set(his) == {None}
    assert {face["name"] for frame in frames for face in frame["faces"]} <= {None, *IN_THE_VIDEO}


def test_sface_recognizes_them_without_any_training(real_data, tmp_path):
    import network

    faces, features, events = tmp_path / "faces", tmp_path / "features", tmp_path / "events.jsonl"
    model, head = tmp_path / "sface.keras", tmp_path / "similarity"
    line = ["--output", str(tmp_path), "--model", model.name, "--backbone", "sface", "--print_model", "0"]
    assert network.main(line) == 0
    assert selfies2face.main(["--face_selfies", str(real_data / "selfies"), "--faces_path", str(faces)]) == 0
    line = ["--faces_path", str(faces), "--model_path", str(model), "--features", str(features)]
    assert extract_features.main(line) == 0
    assert train.main(["--features_path", str(features), "--output_model", str(head)]) == 0
    line = ["--features", str(features), "--model", str(model), "--classification", str(head)]
    line += ["--video_path", str(real_data / "hamilton.mp4"), "--headless", "--events", str(events)]

    def count_names() -> Counter:
        assert importlib.import_module("test").main(line) == 0
        frames = [json.loads(text) for text in events.read_text().splitlines()]
        return Counter(
            (
                face["name"],
                frame["frame"] < 82 and face["box"][2] > 80,
            )  # the second: whether it is Lacamoire's close-up
            for frame in frames
            for face in frame["faces"]
            if face["name"]
        )

    named = count_names()
    # Obama sits in the dark. Lacamoire is too small, and in profile: he gets no name, nor anybody else's.
    assert named.keys() == {("lin_manuel_miranda", False), ("obama", False)}
    assert named["lin_manuel_miranda", False] >= 145 and named["obama", False] >= 60
    for person, other in (("lin_manuel_miranda", "obama"), ("obama", "lin_manuel_miranda")):
        (features / person).rename(tmp_path / person)
        assert count_names().keys() == {(other, False)}
        (tmp_path / person).rename(features / person)
