"""Open-set identification: which person of a gallery is it, if any?

The candidate for a probe is the person with the highest score, and is named if that score clears a threshold.
Probes of enrolled people give the detection and identification rate (DIR: named correctly), probes of strangers
the false accept rate (FAR: named at all). These are the terms of ISO/IEC 19795-1 and of Phillips, Grother and
Micheals, "Evaluation Methods in Face Recognition" (2011).
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from utils.bootstrap import interval, people_multiplicities
from utils.cli import InputError
from utils.evaluation.score_rules import RULES, rank_by_person
from utils.evaluation.verification import REPORTED_FARS, Estimate
from utils.features.feature_files import FeatureSet
from utils.heads.head import Head
from utils.recognition.gallery import Gallery

LIVE_RULE = "test.py's rule"
MEAN_FEATURES = "mean features"  # the head compares a probe with the mean of a person's features
NEAREST = "nearest Euclidean"
MAX_SCORES = 1 << 23  # of photos, in memory at once


@dataclass(frozen=True)
class WatchlistLimits:
    """Bounds for a watchlist."""

    people: int  # enrolled, at most
    strangers: int  # at most
    photos: int  # of an enrolled person, at most


@dataclass(frozen=True)
class Watchlist:
    """Enrolled people and the probes they are compared with. All arrays hold rows of one matrix, each row once."""

    gallery: np.ndarray  # int (g,), ordered by person
    counts: np.ndarray  # int (p,), gallery rows of each person
    probes: np.ndarray  # int (p,), one other photo of each person
    strangers: np.ndarray  # int (s,), a photo each of people who are not enrolled

    @property
    def people(self) -> int:
        return len(self.counts)


def sample_watchlist(
    labels: np.ndarray, rows: np.ndarray, limits: WatchlistLimits, rng: np.random.Generator
) -> Watchlist:
    """Enroll random people. Raises InputError if there are too few.

    One photo of each enrolled person is kept as the probe. People with a single photo are the first to be strangers.
    If all people could be enrolled, half of them become strangers.

    Args:
        labels: int (N,), of the whole matrix.
        rows: int (n,), the rows to use.
        limits: of people and photos.
        rng: random generator.
    """
    rows = rng.permutation(rows)
    rows_of: dict[int, list[int]] = {}
    for row, label in zip(rows.tolist(), np.asarray(labels)[rows].tolist(), strict=True):
        rows_of.setdefault(label, []).append(row)
    several = [label for label in rows_of if len(rows_of[label]) > 1]
    single = [label for label in rows_of if len(rows_of[label]) == 1]
    if not several or len(rows_of) < 2:
        raise InputError(
            "identification needs a person with at least two photos, and a stranger. "
            f"Received: {len(rows_of)} people, {len(several)} of them with several photos"
        )
    enrolled = several[: limits.people]
    if not single and len(enrolled) == len(several):
        enrolled = several[: max(1, len(several) // 2)]
    others = (single + several[len(enrolled) :])[: limits.strangers]
    galleries = [rows_of[label][1 : 1 + limits.photos] for label in enrolled]
    return Watchlist(
        gallery=np.concatenate(galleries),
        counts=np.array([len(part) for part in galleries]),
        probes=np.array([rows_of[label][0] for label in enrolled]),
        strangers=np.array([rows_of[label][0] for label in others]),
    )


def score_people(
    head: Head, matrix: np.ndarray, watchlist: Watchlist, max_scores: int = MAX_SCORES
) -> dict[str, np.ndarray]:
    """Score every enrolled person for every probe by each rule: rule → float32 (p + s, p).

    The probes of the enrolled people come first, then the strangers. Probes are scored in blocks of at most
    `max_scores` scores of photos, which bounds the memory.
    """
    probes = np.concatenate([watchlist.probes, watchlist.strangers])
    gallery, counts = matrix[watchlist.gallery], watchlist.counts
    means = np.add.reduceat(gallery, np.cumsum(counts) - counts, axis=0) / counts[:, None]
    rules = (LIVE_RULE, *RULES, MEAN_FEATURES, NEAREST)
    result = {name: np.empty((len(probes), len(counts)), np.float32) for name in rules}
    enrolled = FeatureSet(gallery, np.repeat(np.arange(len(counts)), counts), [*map(str, range(len(counts)))], None)
    live_gallery = Gallery(enrolled, head, head.threshold, head.min_votes)
    block = max(1, max_scores // (len(counts) * int(counts.max())))
    for start in range(0, len(probes), block):
        part = slice(start, start + block)
        embeddings = matrix[probes[part]]
        result[LIVE_RULE][part] = live_gallery.scores(embeddings)
        ranked = rank_by_person(head.score_gallery(embeddings, gallery), counts)
        for name, rule in RULES.items():
            result[name][part] = rule(ranked, counts)
        result[MEAN_FEATURES][part] = head.score_gallery(embeddings, means)
        result[NEAREST][part] = rank_by_person(-euclidean_distances(embeddings, gallery), counts)[:, :, 0]
    return result


def euclidean_distances(probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Distances, float32 (f, g), between probes (f, D) and gallery rows (g, D)."""
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(probes, gallery)


@dataclass(frozen=True)
class Trials:
    """The best scores of all probes in n galleries of one size, by one rule."""

    best_scores: np.ndarray  # float32 (p,), of each known probe in the gallery that holds its person
    is_right: np.ndarray  # bool (p,), whether that score belongs to its person
    stranger_scores: np.ndarray  # float32 (s, n), the best score of each stranger in each gallery


def run_trials(scores: np.ndarray, size: int) -> Trials:
    """Divide the enrolled people into galleries of one size and compare each probe with them.

    A known probe is compared with the gallery of its person, a stranger with all galleries. People left over from the
    last full gallery are not used. scores: (p + s, p), from score_people.
    """
    people = scores.shape[1]
    galleries = people // size
    used = galleries * size
    # The axes are gallery of the probe, probe, gallery, person; the diagonal is the gallery with the probe's person.
    diagonal = np.arange(galleries)
    known = scores[:used, :used].reshape(galleries, size, galleries, size)[diagonal, :, diagonal]
    is_right = known.argmax(axis=2) == np.arange(size)
    strangers = scores[people:, :used].reshape(-1, galleries, size).max(axis=2)
    return Trials(known.max(axis=2).ravel(), is_right.ravel(), strangers)


@dataclass(frozen=True)
class Identification:
    """How well one rule does in galleries of one size."""

    rank1: Estimate  # share of known probes whose best person is right
    dir: dict[float, Estimate]  # FAR → DIR
    gain: dict[float, Estimate]  # FAR → DIR minus that of the nearest Euclidean distance
    # At the threshold of test.py, the shares of "strangers" with a name, and of known people with the "right" and a
    # "wrong" name; None for distances.
    named: dict[str, Estimate] | None


def measure_identification(
    scores: dict[str, np.ndarray], size: int, threshold: float, replicates: int, seed: int
) -> dict[str, Identification]:
    """The figures of every rule, with intervals over resampled people, enrolled ones and strangers.

    Args:
        scores: rule → (p + s, p), from score_people.
        size: people in a gallery.
        threshold: above which a candidate is named.
        replicates: bootstrap resamplings.
        seed: of the bootstrap.
    """
    trials = {name: run_trials(part, size) for name, part in scores.items()}
    strangers, probes = (len(part) for part in (trials[NEAREST].stranger_scores, trials[NEAREST].best_scores))
    counts = list(_resampled_counts(strangers, probes, replicates, np.random.default_rng(seed)))
    rates = {name: identification_rates(trial, threshold, counts) for name, trial in trials.items()}

    def estimate(values: list[float | None]) -> Estimate:
        return Estimate(None) if values[0] is None else Estimate(float(values[0]), *interval(values[1:]))

    def gain(values: list[float | None], baseline: list[float | None]) -> Estimate:
        return estimate([None] if values[0] is None else [a - b for a, b in zip(values, baseline, strict=True)])

    return {
        name: Identification(
            rank1=estimate(rate["rank1"]),
            dir={far: estimate(rate[far]) for far in REPORTED_FARS},
            gain={far: gain(rate[far], rates[NEAREST][far]) for far in REPORTED_FARS},
            named=None if name == NEAREST else {key: estimate(rate[key]) for key in ("strangers", "right", "wrong")},
        )
        for name, rate in rates.items()
    }


def _resampled_counts(
    strangers: int, people: int, replicates: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """How often each stranger, (s,), and each person, (p,), counts: once, and then as often as they were drawn."""
    yield np.ones(strangers, int), np.ones(people, int)
    both = (np.repeat(np.arange(count)[:, None], 2, axis=1) for count in (strangers, people))
    yield from zip(*(people_multiplicities(part, replicates, rng) for part in both), strict=True)


def identification_rates(
    trials: Trials, threshold: float, counts: list[tuple[np.ndarray, np.ndarray]]
) -> dict[str | float, list[float | None]]:
    """The rates of each resampling, by name. DIRs are by FAR, and None if the strangers are too few to show it."""
    strangers, galleries = trials.stranger_scores.shape
    order = np.argsort(-trials.stranger_scores, axis=None, kind="stable")
    falling, stranger = trials.stranger_scores.ravel()[order], order // galleries
    stranger_named = (trials.stranger_scores > threshold).mean(axis=1)
    named = trials.best_scores > threshold
    rates: dict[str | float, list[float | None]] = defaultdict(list)
    for stranger_counts, people_counts in counts:
        rates["rank1"].append(np.average(trials.is_right, weights=people_counts))
        rates["strangers"].append(np.average(stranger_named, weights=stranger_counts))
        rates["right"].append(np.average(named & trials.is_right, weights=people_counts))
        rates["wrong"].append(np.average(named & ~trials.is_right, weights=people_counts))
        accepted = np.cumsum(stranger_counts[stranger])
        for far in REPORTED_FARS:
            if far * strangers < 1:  # n strangers cannot show a rate below 1 / n
                rates[far].append(None)
                continue
            lowest = falling[np.searchsorted(accepted, far * accepted[-1] + 1e-9, side="right")]
            rates[far].append(np.average(trials.is_right & (trials.best_scores > lowest), weights=people_counts))
    return rates


@dataclass(frozen=True)
class OpenSet:
    """The results of one watchlist. The names of the fields are the keys of evaluation.json."""

    who: str  # which people, in words that follow "16 people"
    people: int
    photos: int  # enrolled, of all people together
    strangers: int
    thresholds: dict[int, float]  # size of the gallery → the threshold of test.py with that many people
    galleries: dict[int, dict[str, Identification]]  # size → rule → figures
    heads: dict[str, int] = field(default_factory=dict)  # kind → how many were fitted; empty if a head was given


def measure_open_set(
    head: Head, matrix: np.ndarray, watchlist: Watchlist, sizes: list[int], who: str, replicates: int, seed: int
) -> tuple[OpenSet, dict[str, Trials]]:
    """All results of a watchlist, and the trials in the largest gallery by rule.

    Args:
        head: the head to measure.
        matrix: features (N, D), to which the rows of the watchlist refer.
        watchlist: enrolled people and probes.
        sizes: people in a gallery. Sizes above the number of enrolled people become that number.
        who: which people these are, in words.
        replicates: bootstrap resamplings of the people.
        seed: of the bootstrap.
    """
    scores = score_people(head, matrix, watchlist)
    sizes = sorted({min(size, watchlist.people) for size in sizes})
    thresholds = {size: head.threshold_for(size) for size in sizes}
    result = OpenSet(
        who=who,
        people=watchlist.people,
        photos=len(watchlist.gallery),
        strangers=len(watchlist.strangers),
        thresholds=thresholds,
        galleries={size: measure_identification(scores, size, thresholds[size], replicates, seed) for size in sizes},
    )
    return result, {name: run_trials(part, sizes[-1]) for name, part in scores.items()}
