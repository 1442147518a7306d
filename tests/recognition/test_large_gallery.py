"""A large gallery decides as an ordinary one does, whatever happens to its people."""

import numpy as np
import pytest
from recognition.large_galleries import DIMENSION, make_head, make_people, pack_features

from utils.features.feature_files import FeatureSet
from utils.recognition import large_gallery, row_index
from utils.recognition.gallery import Gallery
from utils.recognition.large_gallery import LargeGallery

PEOPLE = make_people(1000)
NOBODY = FeatureSet(np.empty((0, DIMENSION), np.float32), np.empty(0, int), [], "one-16-a")


def probes_of(people: int, strangers: int, seed: int = 1) -> np.ndarray:
    """Faces of enrolled people, not their enrolled ones, and of strangers."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(PEOPLE.matrix), people, replace=False)
    known = PEOPLE.matrix[rows] + 0.3 * rng.normal(size=(people, DIMENSION))
    return np.concatenate([known, make_people(strangers, seed=seed + 1).matrix[:strangers]]).astype(np.float32)


def make_galleries(tmp_path, measure: str, strangers: int = 0, changed: FeatureSet = NOBODY, gone=()):
    """The same people in an ordinary gallery and in a large one."""
    head = make_head(measure, PEOPLE)
    large = LargeGallery(pack_features(tmp_path, PEOPLE, (*changed.names, *gone)), changed, head, None, None)
    kept = [index for index, name in enumerate(PEOPLE.names) if name not in (*changed.names, *gone)]
    rows = np.isin(PEOPLE.labels, kept)
    small = Gallery(
        FeatureSet(
            np.concatenate([PEOPLE.matrix[rows], changed.matrix]),
            np.r_[np.searchsorted(kept, PEOPLE.labels[rows]), len(kept) + changed.labels].astype(int),
            [PEOPLE.names[index] for index in kept] + changed.names,
            None,
        ),
        head,
        None,
        None,
    )
    if strangers:
        rows = make_people(strangers, seed=9)
        firsts = rows.matrix[np.searchsorted(rows.labels, np.arange(strangers))]
        for gallery in (small, large):
            gallery.add_strangers(firsts)
    return small, large


def assert_same_decisions(small: Gallery, large: LargeGallery, probes: np.ndarray, tolerance: float = 1e-5) -> None:
    assert len(small.enrolled) == len(large.enrolled) and small.images == large.images
    assert small.threshold == large.threshold
    for probe in probes:
        ours, theirs = large.identify(probe[None])[0], small.identify(probe[None])[0]
        assert ours.name == theirs.name and ours.score == pytest.approx(theirs.score, abs=tolerance)


@pytest.mark.parametrize("measure", ["product", "cosine", "distance", "difference"])
@pytest.mark.parametrize("strangers", [0, 300])
def test_decisions_are_those_of_an_ordinary_gallery(tmp_path, measure, strangers):
    small, large = make_galleries(tmp_path, measure, strangers)
    # Without an inner product, the nearest strangers are chosen by cosine.
    assert_same_decisions(small, large, probes_of(60, 40), 0.1 if measure == "difference" else 1e-5)
    names = [large.identify(probe[None])[0].name for probe in probes_of(60, 40)]
    assert sum(name is not None for name in names[:60]) > 20 > sum(name is not None for name in names[60:])


def test_decisions_stay_with_codes_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(row_index, "MAX_PLAIN", 1000)
    monkeypatch.setattr(row_index, "SAMPLE", 1000)
    small, large = make_galleries(tmp_path, "product", strangers=300)
    assert_same_decisions(small, large, probes_of(60, 40))


def test_familiarity_is_that_of_an_ordinary_gallery(tmp_path):
    small, large = make_galleries(tmp_path, "cosine", strangers=300)
    probes = probes_of(20, 20)
    large.admit(probes)
    np.testing.assert_allclose(large.compare(probes)[1], small.compare(probes)[1], atol=1e-5)


def test_whoever_changed_is_read_from_the_folders_and_whoever_left_is_forgotten(tmp_path):
    rng = np.random.default_rng(3)
    changed = FeatureSet(
        rng.normal(size=(4, DIMENSION)).astype(np.float32), np.array([0, 0, 1, 1]), ["new", "p00003"], None
    )
    small, large = make_galleries(tmp_path, "cosine", 300, changed, gone=("p00007", "p00008"))
    assert_same_decisions(small, large, np.concatenate([probes_of(40, 10), changed.matrix]))
    row = PEOPLE.matrix[PEOPLE.labels == 7][:1]
    assert large.identify(row)[0].name != "p00007" and "p00007" not in large.enrolled


@pytest.mark.parametrize("strangers", [0, 300])
def test_people_are_enrolled_renamed_and_removed_as_ever(tmp_path, strangers):
    small, large = make_galleries(tmp_path, "cosine", strangers)
    rng, probes = np.random.default_rng(4), probes_of(10, 5)
    face = rng.normal(size=(3, DIMENSION)).astype(np.float32)
    steps = [
        ("add", "Ada", face),
        ("add", "p00010", face[:1] + 1),
        ("rename", "p00020", "Bea"),
        ("rename", "p00030", "p00031"),
        ("remove", "p00010", 1),
        ("rename", "Bea", "p00020"),
        ("remove", "Ada", 3),
    ]
    for method, *arguments in steps:
        for gallery in (small, large):
            getattr(gallery, method)(*arguments)
        assert_same_decisions(small, large, np.concatenate([probes, face]))
        assert set(small.enrolled) == set(large.enrolled)
        assert small.count("p00031") == large.count("p00031")


def test_few_people_are_in_play_and_earlier_scores_can_be_told(tmp_path, monkeypatch):
    monkeypatch.setattr(large_gallery, "MAX_IN_PLAY", 30)
    small, large = make_galleries(tmp_path, "cosine")
    probes, held = probes_of(40, 0), probes_of(2, 0, seed=8)
    large.add("Ada", np.ones((1, DIMENSION)))
    assert large.admit(held, held)
    candidates = set(large.names)
    assert not large.admit(held, held) and set(large.names) == candidates
    for probe in probes:
        large.admit(probe[None], held)
        assert candidates <= set(large.names) and len(large.names) <= 31, "those of the faces in view stay"
        assert len(large.names) == len(large.row_ends) and large.row_ends[-1] == len(large.matrix)
    scores = large.scores(held)
    columns = [small.names.index(name) for name in large.names if name != "Ada"]
    np.testing.assert_allclose(
        scores[:, [large.index_of[small.names[c]] for c in columns]], small.scores(held)[:, columns], atol=1e-5
    )
