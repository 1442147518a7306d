"""Learned strangers: only faces that look like nobody enrolled are kept, once each, and without a picture."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from utils.cli import InputError
from utils.features.feature_files import LEARNED, FeatureSet, ImageEntry, feature_path, load_strangers, save_person
from utils.live.strangers import MAX_LEARNED, LearnedStrangers, load_learned
from utils.log_odds import probabilities
from utils.recognition.gallery import Gallery
from utils.recognition.tracks import Observation

EXTRACTOR = "net-4-00"


class CosineHead:
    """Log odds that are linear in the cosine."""

    dimension, extractor, threshold, min_votes, knows_impostors = 4, None, 0.9, None, True

    def project(self, features: np.ndarray) -> np.ndarray:
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    def score_projected(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return probabilities(20 * probes @ gallery.T - 10)

    def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return self.score_projected(self.project(probes), self.project(gallery))

    def impostor_log_odds(self, rate: float) -> float:
        return -10.0

    def threshold_for(self, people: int) -> float:
        return self.threshold


def one_person() -> Gallery:
    return Gallery(
        FeatureSet(np.eye(4, dtype=np.float32)[:1], np.zeros(1, int), ["ada"], EXTRACTOR), CosineHead(), None, None
    )


def learn(folder: Path, gallery: Gallery) -> LearnedStrangers:
    return LearnedStrangers(folder, gallery, EXTRACTOR, load_learned(folder, EXTRACTOR, 4))


def track(track_id: int, embedding: np.ndarray, gallery: Gallery, name: str | None = None, count: int = 3):
    """A track with observations of one face."""
    scores = gallery.scores(embedding[None])[0]
    observations = [Observation(embedding, scores, 0.1 * index, float(index)) for index in range(count)]
    return SimpleNamespace(track_id=track_id, observations=observations, name=name)


def show(learned: LearnedStrangers, *tracks: SimpleNamespace) -> None:
    """A frame with these tracks, and one in which all have ended."""
    learned(SimpleNamespace(visible=list(tracks), tracks=SimpleNamespace(alive=list(tracks))))
    learned(SimpleNamespace(visible=[], tracks=SimpleNamespace(alive=[])))


def test_a_stranger_is_learned_once(tmp_path, capsys):
    gallery = one_person()
    learned = learn(tmp_path, gallery)
    ada, bea = np.eye(4, dtype=np.float32)[:2]
    show(learned, track(1, bea, gallery))
    assert gallery.strangers.tolist() == [bea.tolist()]
    show(learned, track(2, bea, gallery), track(3, ada, gallery), track(4, -ada, gallery, "ada"))
    show(learned, track(5, -bea, gallery, count=2))
    assert len(gallery.strangers) == 1  # the same again, an enrolled face, a named one, one that was seen too little
    learned.save()
    assert "1 stranger learned, 1 in all" in capsys.readouterr().out
    assert load_learned(tmp_path, EXTRACTOR, 4).matrix.tolist() == [bea.tolist()]
    assert sorted(path.name for path in (tmp_path / LEARNED).iterdir()) == [
        f"{LEARNED}_features.cPickle",
        f"{LEARNED}_features.json",
    ]
    assert load_strangers(tmp_path, EXTRACTOR, 4).tolist() == [bea.tolist()]


def test_another_run_adds_to_them(tmp_path):
    for row in np.eye(4, dtype=np.float32)[1:3]:
        gallery = one_person()
        learned = learn(tmp_path, gallery)
        show(learned, track(1, row, gallery))
        learned.save()
    assert len(load_learned(tmp_path, EXTRACTOR, 4).matrix) == 2
    with pytest.raises(InputError, match="comes from net-4-00, not from other-4-00"):
        load_strangers(tmp_path, "other-4-00", 4)


@pytest.mark.parametrize("fault", ["damaged", "of another extractor", "half written"])
def test_strangers_that_cannot_be_used_are_kept(fault, tmp_path, capsys):
    old, path = np.eye(4, dtype=np.float32)[3:], feature_path(tmp_path, LEARNED)
    extractor = "other-4-00" if fault == "of another extractor" else EXTRACTOR
    save_person(tmp_path, LEARNED, old, [ImageEntry("0", 0, 0)], extractor, align=0)
    if fault == "damaged":
        path.write_bytes(path.read_bytes()[:30])
    elif fault == "half written":
        save_person(tmp_path / "next", LEARNED, 2 * old, [ImageEntry("0", 0, 0)], extractor, align=0)
        feature_path(tmp_path / "next", LEARNED).replace(path)
    before = path.read_bytes()
    gallery = one_person()
    learned = learn(tmp_path, gallery)
    assert len(learned.learned) == 0
    warning = capsys.readouterr().err
    assert "left out" in warning and str(path.with_suffix("")) in warning and "_learned_features.1.cPickle" in warning
    show(learned, track(1, np.eye(4, dtype=np.float32)[2], gallery))
    assert path.read_bytes() == before  # nothing happens before there is something to write
    learned.save()
    assert len(load_learned(tmp_path, EXTRACTOR, 4).matrix) == 1
    assert path.with_suffix(".1.cPickle").read_bytes() == before and path.with_suffix(".1.json").is_file()


def test_faces_in_sight_at_the_end_are_learned(tmp_path):
    gallery = one_person()
    learned = learn(tmp_path, gallery)
    face = track(1, np.eye(4, dtype=np.float32)[2], gallery)
    learned(SimpleNamespace(visible=[face], tracks=SimpleNamespace(alive=[face])))
    assert len(gallery.strangers) == 0
    learned.save()
    assert len(load_learned(tmp_path, EXTRACTOR, 4).matrix) == 1


def test_the_oldest_are_forgotten(tmp_path):
    gallery = one_person()
    learned = learn(tmp_path, gallery)
    learned.learned = np.tile(np.array([0, 0, 0, 1], np.float32), (MAX_LEARNED, 1))
    show(learned, track(1, np.array([0, 1, 0, 0], np.float32), gallery))
    assert len(learned.learned) == MAX_LEARNED and learned.learned[-1].tolist() == [0, 1, 0, 0]


def test_a_folder_without_strangers_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no features of strangers"):
        load_strangers(tmp_path, EXTRACTOR, 4)
