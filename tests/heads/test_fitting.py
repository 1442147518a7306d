"""Fitting: which head `auto` takes, what it is measured on, and what decides a plain head's threshold."""

import dataclasses

import numpy as np
import pytest
from support import gaussian_people

from utils.heads import fitting
from utils.heads.fitting import fit_head
from utils.heads.options import TrainingOptions
from utils.heads.plain import CONSTANTS, TYPICAL

EXTRACTOR = next(iter(CONSTANTS))  # dlib's, without --flip


def sphere(people: int, photos: int, spread: float = 0.6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of length 1 whose cosine is the best measure there is, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), photos)
    matrix = rng.normal(size=(people, 32))[labels] + spread * rng.normal(size=(len(labels), 32))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32), labels


def fit(data: tuple[np.ndarray, np.ndarray], strangers: np.ndarray | None = None, **options) -> fitting.FittedHead:
    settings = dataclasses.replace(TrainingOptions(head="auto", far=0.01), **options)
    return fit_head(*data, settings, np.random.default_rng(0), strangers)


def test_few_people_get_the_constants_of_others():
    matrix, labels = gaussian_people(12, 3, dimension=128)
    fitted = fit((matrix * 0.1, labels), extractor=EXTRACTOR, far=0.001)
    constants = CONSTANTS[EXTRACTOR]
    assert fitted.description["head"] == "distance" and "12 people, 12 with several" in fitted.reason
    assert fitted.head.threshold == pytest.approx(constants.probability(constants.threshold_for_far(0.001)))
    assert len(fitted.held) == 36 and fitted.cautions == () and fitted.figures is None


def test_an_unknown_face_network_is_calibrated_on_enough_people():
    few, enough = (fit(sphere(people, 4)) for people in (10, 49))
    assert few.description["head"] == enough.description["head"] == "cosine"
    assert "typical of face networks" in few.cautions[0] and enough.cautions == ()
    assert few.head.threshold == pytest.approx(TYPICAL.probability(TYPICAL.threshold_for_far(0.01)))
    assert enough.figures.people == 49 and len(enough.held) == 196
    assert enough.head.far == 0.01 and enough.figures.far <= 0.01 and enough.head.min_votes is None
    assert enough.description["calibration"]["error_after"] < 0.05
    others, people = sphere(40, 4, seed=1)
    same = people[:, None] == people
    probabilities = enough.head.score_gallery(others, others)
    assert (probabilities > enough.head.threshold)[~same].mean() < 0.03
    assert (probabilities > enough.head.threshold)[same].mean() > 0.9


def test_people_who_look_alike_choose_the_threshold():
    matrix, labels = sphere(8, 6, spread=0.2)
    alike = matrix + 3 * matrix[0]
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    strangers = alike[:6]  # like the first person
    fitted = fit((alike[6:], labels[6:]), extractor="face-32-abc", far=0.001)
    warned = fit((alike[6:], labels[6:]), strangers, extractor="face-32-abc", far=0.001)
    assert "100% of the pairs of these people look alike" in fitted.cautions[0]
    scores = fitted.head.score_gallery(alike[6:], alike[6:])
    different = labels[6:, None] != labels[6:]
    assert not (scores > fitted.head.threshold)[different].any() and fitted.head.min_votes is None
    assert (scores > fitted.head.threshold)[~different].mean() > 0.9
    assert not (warned.head.score_gallery(strangers, alike[6:]) > warned.head.threshold).any()


@pytest.mark.slow
def test_auto_takes_plda_only_where_it_is_better():
    options = {"extractor": "toy-16-abc", "far": 0.05}
    uneven = gaussian_people(120, 4, dimension=16, spread=0.8)
    learned = fit(uneven, **options)
    assert learned.description["head"] == "plda" and learned.history and learned.figures.people == 24
    comparison = learned.description["comparison"]
    assert comparison["figure"] == "TAR at FAR 0.05" and comparison["people"] == 24
    assert comparison["learned"] > comparison["plain"] and comparison["gain_interval"][0] > 0
    assert comparison["plain_accepts"] is None and "cannot tell whether that holds for other people" in learned.reason
    by_hand = fit(uneven, head="plda", **options)
    np.testing.assert_array_equal(*(fitted.head.score_pairs(*2 * [uneven[0][:9]]) for fitted in (learned, by_hand)))

    plain = fit(sphere(120, 4), far=0.001)
    comparison = plain.description["comparison"]
    assert plain.description["head"] == "cosine" and not plain.history and comparison["figure"] == "AUC"
    assert comparison["gain_interval"][0] <= 0 and "a gain of" in plain.reason


@pytest.mark.slow
def test_auto_takes_no_head_that_names_more_strangers():
    """What plda learns from these people is wrong for strangers: they differ where its people are alike."""
    matrix, labels = gaussian_people(120, 4, dimension=16, spread=0.8)
    strangers = np.random.default_rng(1).normal(size=(300, 16)).astype(np.float32)
    options = {"extractor": "toy-16-abc", "far": 0.05}
    taken = fit((matrix, labels), strangers, **options)
    shares = [taken.description["comparison"][f"{kind}_accepts"] for kind in ("plain", "learned")]
    assert "60 faces of strangers plda accepts" in taken.reason
    assert taken.description["head"] == ("plda" if shares[1] <= shares[0] else "cosine")

    def accepts_everybody(*arguments, **more):
        learned = fit_learned(*arguments, **more)
        learned.head.threshold = 0.0
        return learned

    with pytest.MonkeyPatch.context() as patch:
        fit_learned = fitting._fit_learned
        patch.setattr(fitting, "_fit_learned", accepts_everybody)
        worse = fit((matrix, labels), strangers, **options)
    assert worse.description["head"] == "cosine" and worse.description["comparison"]["learned_accepts"] == 1


@pytest.mark.slow
def test_nobody_held_out_means_no_learned_head():
    fitted = fit(sphere(60, 2), holdout=0.0, epochs=1)
    assert fitted.description["head"] == "cosine" and "nobody is held out" in fitted.reason


def test_few_held_out_people_decide_without_a_vote():
    matrix, labels = sphere(10, 4)
    fitted = fit((matrix, labels), head="plda", far=0.001)
    assert fitted.figures.people == 2 and fitted.head.far == 1 and fitted.head.min_votes is None
    nobody = fit((matrix[:8], labels[:8]), head="plda", far=0.001)
    assert nobody.head.threshold == 0.8 and nobody.head.min_votes == 0.85
