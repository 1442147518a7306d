"""What is reported of a verification: every scorer's figures side by side, people one by one, the worst pairs."""

from dataclasses import dataclass

import numpy as np

from utils.evaluation.pairs import Pairs
from utils.evaluation.protocols import EUCLIDEAN, HEAD, PairScores, fold_accuracies
from utils.metrics import calibration_error, interval, people_multiplicities, resampled_rocs, roc

FARS = (0.01, 0.001)
CURVE_FIGURES = ("auc", "eer", *(f"tar_at_far_{far:g}" for far in FARS))


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval over resampled people; None where the data cannot show it."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ScorerFigures:
    """How one scorer does. accuracy: mean over folds, None without folds; its standard error beside it.

    figures, gains: CURVE_FIGURES → the figure, and by how much it is more than Euclidean distance's.
    """

    accuracy: float | None
    standard_error: float | None
    figures: dict[str, Estimate]
    gains: dict[str, Estimate]


def measure_scorers(judged: PairScores, pairs: Pairs, replicates: int, seed: int) -> dict[str, ScorerFigures]:
    """The figures of each scorer on the same pairs.

    replicates: resamplings of the people, the same ones for every scorer, so that the gains have intervals too.
    """
    person_pairs = len(np.unique(np.sort(pairs.people[~pairs.same], axis=1), axis=0))
    values, samples = {}, {}
    for name, scores in judged.scores.items():
        values[name] = _curve_figures(roc(scores, pairs.same, pairs.weights), person_pairs)
        drawn = people_multiplicities(pairs.people, replicates, np.random.default_rng(seed))
        curves = resampled_rocs(scores, pairs.same, pairs.weights, drawn)
        samples[name] = [_curve_figures(curve, person_pairs) for curve in curves]
    scorers = {}
    for name, scores in judged.scores.items():
        gain = _difference(values[name], values[EUCLIDEAN])
        gains = [_difference(*both) for both in zip(samples[name], samples[EUCLIDEAN], strict=True)]
        scorers[name] = ScorerFigures(
            *_accuracy(fold_accuracies(scores, pairs, judged.thresholds[name])),
            figures={key: _figure(key, values[name], samples[name]) for key in CURVE_FIGURES},
            gains={key: _figure(key, gain, gains) for key in CURVE_FIGURES},
        )
    return scorers


def _accuracy(of_folds: np.ndarray) -> tuple[float | None, float | None]:
    if len(of_folds) < 2:
        return None, None
    return float(of_folds.mean()), float(of_folds.std(ddof=1) / np.sqrt(len(of_folds)))


def _curve_figures(curve, person_pairs: int) -> dict[str, float | None]:
    # n pairs of people show no rate below 1 / n.
    tars = {f"tar_at_far_{far:g}": curve.tar_at(far) if far * person_pairs >= 1 else None for far in FARS}
    return {"auc": curve.auc, "eer": curve.eer, **tars}


def _difference(own: dict, other: dict) -> dict[str, float | None]:
    return {key: None if own[key] is None else own[key] - other[key] for key in own}


def _figure(key: str, values: dict, samples: list[dict]) -> Estimate:
    if values[key] is None:
        return Estimate(None)
    return Estimate(values[key], *interval([sample[key] for sample in samples]))


@dataclass(frozen=True)
class OperatingPoint:
    """What the thresholds that the heads carry make of the pairs; far and tar with their intervals over people."""

    threshold: float
    far: Estimate
    tar: Estimate
    calibration_error: float


def measure_operating_point(judged: PairScores, pairs: Pairs, replicates: int, seed: int) -> OperatingPoint:
    """FAR and TAR at the threshold that the head carries, and its calibration."""
    probabilities = judged.scores[HEAD]
    accepted = probabilities > judged.own_thresholds
    rates = {}
    for name, kind in (("far", ~pairs.same), ("tar", pairs.same)):
        drawn = people_multiplicities(pairs.people, replicates, np.random.default_rng(seed))
        weights = ((times * pairs.weights)[kind] for times in drawn)
        sampled = [float(np.average(accepted[kind], weights=part)) for part in weights if part.any()]
        rates[name] = Estimate(float(np.average(accepted[kind], weights=pairs.weights[kind])), *interval(sampled))
    error = calibration_error(probabilities, pairs.same, pairs.weights)
    return OperatingPoint(float(np.median(judged.own_thresholds)), **rates, calibration_error=error)


def people_table(judged: PairScores, pairs: Pairs, names: list[str]) -> list[dict]:
    """A row for each person, those with the most errors at the head's own threshold first.

    person; pairs of them that are the same person's and how many of these were rejected; pairs with others and how
    many of these were accepted; the other person with the highest score, and that score.
    """
    probabilities = judged.scores[HEAD]
    accepted = probabilities > judged.own_thresholds
    order = np.argsort(pairs.people, axis=None, kind="stable")
    people, starts = np.unique(pairs.people.ravel()[order], return_index=True)
    rows = []
    for person, found in zip(people.tolist(), np.split(order // 2, starts[1:]), strict=True):
        found = np.unique(found)  # a pair of the same person came twice
        same, different = found[pairs.same[found]], found[~pairs.same[found]]
        row = {
            "person": names[person],
            "same_pairs": len(same),
            "false_rejects": int((~accepted[same]).sum()),
            "different_pairs": len(different),
            "false_accepts": int(accepted[different].sum()),
            "most_alike": None,
            "its_score": None,
        }
        if len(different):
            likest = different[np.argmax(probabilities[different])]
            other = pairs.people[likest][pairs.people[likest] != person][0]
            row.update(most_alike=names[other], its_score=round(float(probabilities[likest]), 4))
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["false_rejects"] - row["false_accepts"], row["person"]))


@dataclass(frozen=True)
class Verification:
    """All that is found on some pairs. who: whose they are, in words. table: see people_table."""

    who: str
    people: int
    same_pairs: int
    different_pairs: int
    scorers: dict[str, ScorerFigures]
    own_threshold: OperatingPoint
    table: list[dict]


def measure_verification(
    judged: PairScores, pairs: Pairs, names: list[str], who: str, replicates: int, seed: int
) -> Verification:
    """Every figure of judged pairs. names: of the people, by label. replicates: of the bootstrap."""
    table = people_table(judged, pairs, names)
    return Verification(
        who=who,
        people=len(table),
        same_pairs=int(pairs.same.sum()),
        different_pairs=int((~pairs.same).sum()),
        scorers=measure_scorers(judged, pairs, replicates, seed),
        own_threshold=measure_operating_point(judged, pairs, replicates, seed),
        table=table,
    )
