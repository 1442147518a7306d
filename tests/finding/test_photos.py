"""The photos to search, and the best people of each face."""

import os
from pathlib import Path

import numpy as np
import pytest
from recognition.test_large_gallery import make_galleries, probes_of

from utils.cli import InputError
from utils.finding.photos import FoundFace, list_photos, name_faces, read_photos
from utils.media.images import write_image


class FakeGallery:
    """Scores faces by their first features, one for each person, and accepts above a half."""

    names = ("Ada", "Bea", "Cem")

    def admit(self, probes: np.ndarray, count: int) -> bool:
        return False

    def compare(self, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return probes[:, :3], probes[:, 3]

    def decide(self, scores: np.ndarray) -> list:
        from utils.recognition.gallery import decide

        return decide(scores, self.names, 0.5)


def test_the_best_people_come_first():
    features = np.array([[0.2, 0.9, 0.4, 1.0], [0.3, 0.8, 0.1, -1.0], [0.3, 0.3, 0.1, np.nan]])
    faces = [FoundFace((0, 0, 9, 9), row) for row in features]
    name_faces(faces, FakeGallery(), 2)
    assert [face.name for face in faces] == ["Bea", None, None]  # no name twice in one photo
    assert faces[0].people == [("Bea", 0.9), ("Cem", 0.4)] and faces[2].people == [("Ada", 0.3), ("Bea", 0.3)]
    assert [face.kind_known for face in faces] == [True, False, None]
    name_faces([], FakeGallery(), 2)


@pytest.mark.parametrize("top", [0, 1, 20])
@pytest.mark.parametrize("strangers", [0, 300])
def test_a_large_gallery_gives_the_same_people(tmp_path, top, strangers):
    small, large = make_galleries(tmp_path, "cosine", strangers)
    for embedding in probes_of(10, 5):
        faces = [FoundFace((0, 0, 9, 9), embedding) for _ in range(2)]
        for face, gallery in zip(faces, (small, large), strict=True):
            name_faces([face], gallery, top)
        expected, found = faces
        assert found.name == expected.name and found.kind_known == expected.kind_known
        assert [name for name, _ in found.people][:8] == [name for name, _ in expected.people][:8]
        assert [score for _, score in found.people] == pytest.approx([score for _, score in expected.people], abs=1e-4)


def test_photos_and_folders_are_listed_once(tmp_path):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("notes")
    photos, unread = list_photos([tmp_path / "b.png", tmp_path])
    assert [photo.name for photo in photos] == ["b.png", "a.png"] and [item.path.name for item in unread] == [
        "notes.txt"
    ]


@pytest.mark.bad_input
def test_what_is_no_photo_is_refused(tmp_path):
    os.mkdir(tmp_path / "empty")
    for path, reason in ((tmp_path / "empty", "has no photos"), (tmp_path / "a.png", "does not exist")):
        with pytest.raises(InputError, match=reason):
            list_photos([path])
    with pytest.raises(InputError, match="Received: an address") as info:
        list_photos([Path("rtsp://me:secret@127.0.0.1/a")])
    assert "secret" not in str(info.value)


@pytest.mark.bad_input
def test_without_a_readable_photo_there_is_nothing_to_search(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.png.* \(and 1 more\)"):
        read_photos(paths, None, 20, None)
