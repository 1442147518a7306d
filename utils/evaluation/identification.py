"""Open-set identification: whose face is it, if it is anybody's of a gallery.

A probe's candidate is the person with the highest score; it is named if that score clears a threshold. Known
people's probes give the detection and identification rate (DIR: named, and rightly), strangers' probes the
false accept rate (FAR: named at all), as in ISO/IEC 19795-1 and Phillips, Grother and Micheals, "Evaluation
Methods in Face Recognition" (2011).
"""

from dataclasses import dataclass

import numpy as np

from utils.cli import InputError
from utils.evaluation.score_rules import RULES, rank_by_person
from utils.evaluation.verification import FARS, Estimate
from utils.features.feature_files import FeatureSet
from utils.heads.head import Head
from utils.metrics import interval
from utils.recognition.gallery import Gallery

OWN = "test.py's rule"
TEMPLATE = "mean features"  # the head compares a probe with the mean of a person's features
NEAREST = "nearest Euclidean"
MAX_SCORES = 1 << 23  # held at once while the rules are applied


@dataclass(frozen=True)
class Watchlist:
    """Who is enrolled and who comes by; all are rows of one matrix, no row is used twice.

    gallery: int (g,), rows in the order of their people. counts: int (p,), how many each person has. probes:
    int (p,), one other photo of each. strangers: int (s,), a photo each of people who are not enrolled.
    """

    gallery: np.ndarray
    counts: np.ndarray
    probes: np.ndarray
    strangers: np.ndarray

    @property
    def people(self) -> int:
        return len(self.counts)


def sample_watchlist(
    labels: np.ndarray, rows: np.ndarray, people: int, strangers: int, photos: int, rng: np.random.Generator
) -> Watchlist:
    """Enroll random people of some rows. Raises InputError where they are too few.

    labels: int (N,), of the whole matrix; rows: int (n,). people, strangers: how many at most. photos: of an enrolled
    person, at most, with one more kept as probe. Strangers are first people with a single photo, then the rest; where
    everybody would be enrolled, half are strangers.
    """
    rows = rng.permutation(rows)
    of = {}
    for row, label in zip(rows.tolist(), np.asarray(labels)[rows].tolist(), strict=True):
        of.setdefault(label, []).append(row)
    several = [label for label in of if len(of[label]) > 1]
    single = [label for label in of if len(of[label]) == 1]
    if not several or len(of) < 2:
        raise InputError(
            "identification needs a person with at least two photos, and a stranger. "
            f"Received: {len(of)} people, {len(several)} of them with several photos"
        )
    enrolled = several[:people]
    if not single and len(enrolled) == len(several):
        enrolled = several[: max(1, len(several) // 2)]
    others = (single + several[len(enrolled) :])[:strangers]
    galleries = [of[label][1 : 1 + photos] for label in enrolled]
    return Watchlist(
        gallery=np.concatenate(galleries),
        counts=np.array([len(part) for part in galleries]),
        probes=np.array([of[label][0] for label in enrolled]),
        strangers=np.array([of[label][0] for label in others]),
    )


def score_people(head: Head, matrix: np.ndarray, watchlist: Watchlist) -> dict[str, np.ndarray]:
    """Each rule's scores of every enrolled person for every probe, rule → float32 (p + s, p).

    First come the probes of the enrolled, then the strangers. Memory is bounded by a block of probes at a time.
    """
    probes = np.concatenate([watchlist.probes, watchlist.strangers])
    gallery, counts = matrix[watchlist.gallery], watchlist.counts
    means = np.add.reduceat(gallery, np.cumsum(counts) - counts, axis=0) / counts[:, None]
    result = {name: np.empty((len(probes), len(counts)), np.float32) for name in (OWN, *RULES, TEMPLATE, NEAREST)}
    people = FeatureSet(gallery, np.repeat(np.arange(len(counts)), counts), [*map(str, range(len(counts)))], None)
    live = Gallery(people, head, head.threshold, head.min_votes)
    block = max(1, MAX_SCORES // (len(counts) * int(counts.max())))
    for start in range(0, len(probes), block):
        part = slice(start, start + block)
        result[OWN][part] = live.scores(matrix[probes[part]])
        ranked = rank_by_person(head.score_gallery(matrix[probes[part]], gallery), counts)
        for name, rule in RULES.items():
            result[name][part] = rule(ranked, counts)
        result[TEMPLATE][part] = head.score_gallery(matrix[probes[part]], means)
        near = rank_by_person(-euclidean_distances(matrix[probes[part]], gallery), counts)
        result[NEAREST][part] = near[:, :, 0]
    return result


def euclidean_distances(probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Distances, float32 (f, g), of probes (f, D) and gallery rows (g, D)."""
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(probes, gallery)


@dataclass(frozen=True)
class Trials:
    """What galleries of one size make of their probes, by one rule.

    tops: float32 (p,), each known probe's best score in its own gallery; right: bool (p,), whether it is its own
    person's. stranger_tops: float32 (s, n), each stranger's best score in each of n galleries.
    """

    tops: np.ndarray
    right: np.ndarray
    stranger_tops: np.ndarray


def run_trials(scores: np.ndarray, size: int) -> Trials:
    """Share the enrolled out into galleries of a size and let each probe come by.

    scores: (p + s, p), as score_people gives them. A known probe meets its person's gallery, a stranger meets
    every one. People who do not fill a last gallery are left out.
    """
    people = scores.shape[1]
    number = people // size
    used = number * size
    # (gallery of the probe, probe, gallery, person): its own gallery is the diagonal.
    own = scores[:used, :used].reshape(number, size, number, size)[np.arange(number), :, np.arange(number)]
    strangers = scores[people:, :used].reshape(-1, number, size).max(axis=2)
    right = own.argmax(axis=2) == np.arange(size)
    return Trials(own.max(axis=2).ravel(), right.ravel(), strangers)


@dataclass(frozen=True)
class Identification:
    """How one rule does in galleries of one size. rank1: share of known probes whose best person is right.

    dir: FAR → DIR at it. gain: the same, more than nearest Euclidean's. named: shares at test.py's threshold, of
    "strangers" that get a name and of known people that get the "right" and a "wrong" one; None for
    distances.
    """

    rank1: Estimate
    dir: dict[float, Estimate]
    gain: dict[float, Estimate]
    named: dict[str, Estimate] | None


def measure_identification(
    scores: dict[str, np.ndarray], size: int, threshold: float, replicates: int, seed: int
) -> dict[str, Identification]:
    """The figures of every rule, with intervals over resampled people: known ones and strangers."""
    trials = {name: run_trials(part, size) for name, part in scores.items()}
    rng = np.random.default_rng(seed)
    counts = trials[NEAREST].stranger_tops.shape[0], trials[NEAREST].tops.shape[0]
    # Everybody once, and then the resamplings: how often each stranger and each known person was drawn.
    drawn = [[np.ones(count, int) for count in counts]]
    drawn += [
        [np.bincount(rng.integers(0, count, count), minlength=count) for count in counts] for _ in range(replicates)
    ]
    rates = {name: _rates(trial, threshold, drawn) for name, trial in trials.items()}

    def figure(values) -> Estimate:
        return Estimate(None) if values[0] is None else Estimate(float(values[0]), *interval(values[1:]))

    def gain(own, baseline) -> Estimate:
        return figure([None] if own[0] is None else [a - b for a, b in zip(own, baseline, strict=True)])

    return {
        name: Identification(
            rank1=figure(rate["rank1"]),
            dir={far: figure(rate[far]) for far in FARS},
            gain={far: gain(rate[far], rates[NEAREST][far]) for far in FARS},
            named=None if name == NEAREST else {key: figure(rate[key]) for key in ("strangers", "right", "wrong")},
        )
        for name, rate in rates.items()
    }


def _rates(trial: Trials, threshold: float, drawn: list) -> dict:
    """The rates of each resampling, name → one number for each; FARs → DIR at it, None where s strangers show none."""
    strangers, galleries = trial.stranger_tops.shape
    order = np.argsort(-trial.stranger_tops, axis=None, kind="stable")
    falling, stranger = trial.stranger_tops.ravel()[order], order // galleries
    stranger_named = (trial.stranger_tops > threshold).mean(axis=1)
    named = trial.tops > threshold
    rates = {key: [] for key in ("rank1", "strangers", "right", "wrong", *FARS)}
    for stranger_times, times in drawn:
        rates["rank1"].append(np.average(trial.right, weights=times))
        rates["strangers"].append(np.average(stranger_named, weights=stranger_times))
        rates["right"].append(np.average(named & trial.right, weights=times))
        rates["wrong"].append(np.average(named & ~trial.right, weights=times))
        accepted = np.cumsum(stranger_times[stranger])
        for far in FARS:
            if far * strangers < 1:  # n strangers show no rate below 1 / n
                rates[far].append(None)
                continue
            lowest = falling[np.searchsorted(accepted, far * accepted[-1] + 1e-9, side="right")]
            rates[far].append(np.average(trial.right & (trial.tops > lowest), weights=times))
    return rates


@dataclass(frozen=True)
class OpenSet:
    """All that is found with one watchlist. who: whose it is, in words. photos: of all its people together.

    thresholds: size of the gallery → that of test.py with so many people. galleries: size → rule → its figures.
    """

    who: str
    people: int
    photos: int
    strangers: int
    thresholds: dict[int, float]
    galleries: dict[int, dict[str, Identification]]


def measure_open_set(
    head: Head, matrix: np.ndarray, watchlist: Watchlist, sizes: list[int], who: str, replicates: int, seed: int
) -> tuple[OpenSet, dict[str, Trials]]:
    """Every figure of a watchlist, and the trials in the largest gallery by rule; no size is above its people."""
    scores = score_people(head, matrix, watchlist)
    sizes = sorted({min(size, watchlist.people) for size in sizes})
    thresholds = {size: head.threshold_for(size) for size in sizes}
    found = OpenSet(
        who=who,
        people=watchlist.people,
        photos=len(watchlist.gallery),
        strangers=len(watchlist.strangers),
        thresholds=thresholds,
        galleries={size: measure_identification(scores, size, thresholds[size], replicates, seed) for size in sizes},
    )
    return found, {name: run_trials(part, sizes[-1]) for name, part in scores.items()}
