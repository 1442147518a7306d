"""Verification figures: all scorers side by side, the head at its own threshold, and the errors of each person."""

from dataclasses import dataclass, field

import numpy as np

from utils.bootstrap import interval, people_multiplicities, resampled_rocs
from utils.evaluation.pairs import Pairs
from utils.evaluation.protocols import EUCLIDEAN, HEAD, PairScores, fold_accuracies
from utils.metrics import Roc, calibration_error, roc

REPORTED_FARS = (0.01, 0.001)
CURVE_FIGURES = ("auc", "eer", *(f"tar_at_far_{far:g}" for far in REPORTED_FARS))


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval over resampled people; None where the data cannot show it."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ScorerFigures:
    """How well one scorer does."""

    accuracy: float | None  # mean over folds; None without folds
    standard_error: float | None  # of the accuracy
    figures: dict[str, Estimate]  # by CURVE_FIGURES
    gains: dict[str, Estimate]  # figure minus that of the Euclidean distance, by CURVE_FIGURES


@dataclass(frozen=True)
class OperatingPoint:
    """What the thresholds stored with the heads do."""

    threshold: float  # the median of several heads
    far: Estimate
    tar: Estimate
    calibration_error: float  # expected, 0-1


@dataclass(frozen=True)
class PersonErrors:
    """The errors of the head at its own threshold on pairs that show one person."""

    person: str
    same_pairs: int
    false_rejects: int
    different_pairs: int
    false_accepts: int
    most_alike: str | None = None  # the other person with the highest score; None without different pairs
    its_score: float | None = None

    @property
    def errors(self) -> int:
        return self.false_rejects + self.false_accepts


@dataclass(frozen=True)
class Verification:
    """The results of a verification. The names of the fields are the keys of evaluation.json."""

    who: str  # which people, in words that follow "16 people"
    people: int
    same_pairs: int
    different_pairs: int
    scorers: dict[str, ScorerFigures]
    own_threshold: OperatingPoint
    table: list[PersonErrors]  # people with the most errors first
    heads: dict[str, int] = field(default_factory=dict)  # kind → how many were fitted; empty if a head was given


def measure_verification(
    pair_scores: PairScores, pairs: Pairs, names: list[str], who: str, replicates: int, seed: int
) -> Verification:
    """All results of scored pairs.

    Args:
        pair_scores: the scores of the pairs.
        pairs: the pairs.
        names: of the people, by label.
        who: which people these are, in words.
        replicates: bootstrap resamplings of the people.
        seed: of the bootstrap.
    """
    table = errors_by_person(pair_scores, pairs, names)
    return Verification(
        who=who,
        people=len(table),
        same_pairs=int(pairs.same.sum()),
        different_pairs=int((~pairs.same).sum()),
        scorers=measure_scorers(pair_scores, pairs, replicates, seed),
        own_threshold=measure_operating_point(pair_scores, pairs, replicates, seed),
        table=table,
    )


def measure_scorers(pair_scores: PairScores, pairs: Pairs, replicates: int, seed: int) -> dict[str, ScorerFigures]:
    """The figures of each scorer on the same pairs.

    All scorers share the same resamplings of the people, so that the gains have intervals too.
    """
    person_pairs = len(np.unique(np.sort(pairs.people[~pairs.same], axis=1), axis=0))
    values, samples = {}, {}
    for name, scores in pair_scores.scores.items():
        values[name] = _curve_figures(roc(scores, pairs.same, pairs.weights), person_pairs)
        counts = people_multiplicities(pairs.people, replicates, np.random.default_rng(seed))
        curves = resampled_rocs(scores, pairs.same, pairs.weights, counts)
        samples[name] = [_curve_figures(curve, person_pairs) for curve in curves]
    scorers = {}
    for name, scores in pair_scores.scores.items():
        gain = _subtract(values[name], values[EUCLIDEAN])
        gains = [_subtract(*both) for both in zip(samples[name], samples[EUCLIDEAN], strict=True)]
        scorers[name] = ScorerFigures(
            *_mean_accuracy(fold_accuracies(scores, pairs, pair_scores.fold_thresholds[name])),
            figures={key: _estimate(key, values[name], samples[name]) for key in CURVE_FIGURES},
            gains={key: _estimate(key, gain, gains) for key in CURVE_FIGURES},
        )
    return scorers


def _mean_accuracy(accuracies: np.ndarray) -> tuple[float | None, float | None]:
    if len(accuracies) < 2:
        return None, None
    return float(accuracies.mean()), float(accuracies.std(ddof=1) / np.sqrt(len(accuracies)))


def _curve_figures(curve: Roc, person_pairs: int) -> dict[str, float | None]:
    # n pairs of people cannot show a rate below 1 / n.
    tars = {f"tar_at_far_{far:g}": curve.tar_at(far) if far * person_pairs >= 1 else None for far in REPORTED_FARS}
    return {"auc": curve.auc, "eer": curve.eer, **tars}


def _subtract(figures: dict[str, float | None], baseline: dict[str, float | None]) -> dict[str, float | None]:
    return {key: None if value is None else value - baseline[key] for key, value in figures.items()}


def _estimate(key: str, figures: dict[str, float | None], samples: list[dict[str, float | None]]) -> Estimate:
    if figures[key] is None:
        return Estimate(None)
    return Estimate(figures[key], *interval([sample[key] for sample in samples]))


def measure_operating_point(pair_scores: PairScores, pairs: Pairs, replicates: int, seed: int) -> OperatingPoint:
    """FAR and TAR at the threshold stored with the head, and how well its probabilities are calibrated."""
    probabilities = pair_scores.scores[HEAD]
    accepted = probabilities > pair_scores.head_thresholds
    rates = {}
    for name, kind in (("far", ~pairs.same), ("tar", pairs.same)):
        counts = people_multiplicities(pairs.people, replicates, np.random.default_rng(seed))
        weights = ((count * pairs.weights)[kind] for count in counts)
        samples = [float(np.average(accepted[kind], weights=part)) for part in weights if part.any()]
        rates[name] = Estimate(float(np.average(accepted[kind], weights=pairs.weights[kind])), *interval(samples))
    error = calibration_error(probabilities, pairs.same, pairs.weights)
    return OperatingPoint(float(np.median(pair_scores.head_thresholds)), **rates, calibration_error=error)


def errors_by_person(pair_scores: PairScores, pairs: Pairs, names: list[str]) -> list[PersonErrors]:
    """The errors at the head's own threshold of each person in the pairs, people with the most errors first."""
    probabilities = pair_scores.scores[HEAD]
    accepted = probabilities > pair_scores.head_thresholds
    order = np.argsort(pairs.people, axis=None, kind="stable")
    people, starts = np.unique(pairs.people.ravel()[order], return_index=True)
    table = []
    for person, indices in zip(people.tolist(), np.split(order // 2, starts[1:]), strict=True):
        indices = np.unique(indices)  # same-person pairs are in twice
        same, different = indices[pairs.same[indices]], indices[~pairs.same[indices]]
        most_alike = {}
        if len(different):
            pair = different[np.argmax(probabilities[different])]
            other = pairs.people[pair][pairs.people[pair] != person][0]
            most_alike = {"most_alike": names[other], "its_score": round(float(probabilities[pair]), 4)}
        table.append(
            PersonErrors(
                person=names[person],
                same_pairs=len(same),
                false_rejects=int((~accepted[same]).sum()),
                different_pairs=len(different),
                false_accepts=int(accepted[different].sum()),
                **most_alike,
            )
        )
    return sorted(table, key=lambda row: (-row.errors, row.person))
