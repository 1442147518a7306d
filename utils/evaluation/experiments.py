"""The two experiments, verification and identification: people, heads, figures and plots put together."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from utils import interrupts
from utils.cli import InputError, counted, summarize, warn
from utils.evaluation.identification import OpenSet, WatchlistLimits, measure_open_set, sample_watchlist
from utils.evaluation.others import Group, OtherPeople, measure_others
from utils.evaluation.pairs import Pairs, check_folds, has_both_kinds, load_pairs, sample_pairs, stranger_label
from utils.evaluation.plots import draw_worst_pairs, plot_identification, plot_verification
from utils.evaluation.protocols import cross_validate, rows_without, score_with_head
from utils.evaluation.report import write_people
from utils.evaluation.verification import Verification, measure_verification
from utils.features.feature_files import FeatureSet
from utils.heads.choice import check_kind
from utils.heads.fitting import fit_head
from utils.heads.head import Head
from utils.heads.options import TrainingOptions
from utils.heads.pairs import split_people
from utils.keras_models import import_keras
from utils.recognition.cohort import NormalizedHead
from utils.workers import Workers

TRAINING_SHARE = 0.4  # of the people, that a cross-validated identification trains on at least

Plot = Callable[[Path], None]  # writes the plots of a result into a folder


class Fitter:
    """Fits heads to some rows of the features, each as train.py would to a folder with these rows alone."""

    def __init__(self, features: FeatureSet, kind: str, seed: int, cohort: np.ndarray | None = None):
        """cohort: features (s, D) of strangers to normalize the heads' scores with; None for none."""
        self.features, self.seed, self.cohort = features, seed, cohort
        self.options = TrainingOptions(kind, features.extractor, learning_curve=False)
        self.kinds: Counter[str] = Counter()  # of the heads so far, for "auto"

    def __call__(self, rows: np.ndarray) -> tuple[Head, np.ndarray]:
        """A head for these rows, int (n,), and those of them that it did not learn from."""
        interrupts.check()
        features = self.features
        is_stranger = features.labels[rows] >= stranger_label(features.names)
        strangers, rows = features.matrix[rows[is_stranger]], rows[~is_stranger]
        matrix, labels = features.matrix[rows], features.labels[rows]
        fitted = fit_head(matrix, labels, self.options, np.random.default_rng(self.seed), strangers)
        if fitted.interrupted:  # Ctrl-C should end the whole evaluation, not only the training of one fold
            raise KeyboardInterrupt
        self.kinds[fitted.description["head"]] += 1
        head = fitted.head if self.cohort is None else NormalizedHead(fitted.head, self.cohort)
        return head, rows[fitted.held]

    def spread(self, workers: Workers | None) -> Callable:
        """A function like `map`, for this object and a list of rows: it fits heads on a cluster if there is one."""

        def on_workers(_: "Fitter", parts: list[np.ndarray]) -> Iterator[tuple[Head, np.ndarray]]:
            for head, held, kinds in workers.map(self._load, parts, 1):
                self.kinds += kinds
                yield head, held

        return on_workers if workers else map

    def _load(self) -> Callable[[list[np.ndarray]], Iterator[tuple[Head, np.ndarray, Counter[str]]]]:
        """The function of a cluster's worker: heads, and their kinds."""
        import_keras()

        def fit(rows: np.ndarray) -> tuple[Head, np.ndarray, Counter[str]]:
            self.kinds = Counter()
            return *self(rows), self.kinds

        return lambda parts: map(fit, parts)


def make_fit(features: FeatureSet, kind: str, seed: int, cohort: np.ndarray | None = None) -> Fitter:
    """A function that fits heads of one kind, or of the kind that suits the rows ("auto"). For cohort see Fitter.

    Raises InputError if the features do not allow this kind.
    """
    import_keras()
    if kind != "auto":
        people = features.labels < stranger_label(features.names)
        check_kind(kind, features.extractor, features.matrix[people], features.labels[people])
    return Fitter(features, kind, seed, cohort)


def unseen_rows(features: FeatureSet, head: Head) -> tuple[np.ndarray, str]:
    """The rows of the people that the head held out, and a phrase that says so.

    If it held out none of these people, all rows, with a warning. Strangers are always included, also with a warning,
    since it is not known which of them the head was trained on.
    """
    strangers = int((features.labels >= stranger_label(features.names)).sum())
    caution = "if the head was trained on them, the figures are too good"
    if strangers:
        warn(f"{counted(strangers, 'face')} of strangers count as impostors: {caution}")
    rows = held_out_rows(features, head)
    if rows is not None:
        return rows, " held out by the head"
    warn(f"the head held out none of these people, so all people in the folder are used: {caution}")
    return np.arange(len(features.labels)), ""


def held_out_rows(features: FeatureSet, head: Head) -> np.ndarray | None:
    """The rows of the people that the head held out, and of all strangers. None if it held out none of these people."""
    held_out = np.isin(np.array(features.names)[features.labels], head.held_out_people)
    strangers = features.labels >= stranger_label(features.names)
    return np.flatnonzero(held_out | strangers) if held_out.any() else None


def verify(
    features: FeatureSet,
    head: Head | None,
    fit: Fitter | None,
    pairs_path: Path | None,
    faces_path: Path | None,
    replicates: int,
    rng: np.random.Generator,
    workers: Workers | None = None,
) -> tuple[Verification, Plot]:
    """Verify pairs of photos. Raises InputError.

    Args:
        features: people and strangers, see `with_strangers`.
        head: the head to evaluate; None to evaluate those that `fit` trains.
        fit: trains a head for each fold; None to evaluate `head`.
        pairs_path: a pairs file; None for pairs of the people that the head held out.
        faces_path: folder of the faces, to draw the worst pairs; None to draw none.
        replicates: bootstrap resamplings of the people.
        rng: random generator.
        workers: of a cluster, to fit heads at once; None for one after the other.
    """
    if pairs_path:
        pairs, who = pairs_of_file(features, head, pairs_path), f" of {pairs_path}"
    else:
        rows, who = unseen_rows(features, head)
        pairs = sample_pairs(features.labels, rows, rng, stranger_label(features.names))
        if not has_both_kinds(pairs.same):
            raise InputError(f"the people{who} do not give pairs of both kinds, same person and different people")
    pair_scores = (
        cross_validate(features, pairs, fit, rng, fit.spread(workers))
        if fit
        else score_with_head(features, pairs, head)
    )
    seed = int(rng.integers(2**32))
    result = measure_verification(pair_scores, pairs, features.names, who, replicates, seed)
    result = dataclasses.replace(result, heads=dict(fit.kinds) if fit else {})

    def plot(folder: Path) -> None:
        write_people(folder / "people.csv", result.table)
        operating_point = result.own_threshold.far.value, result.own_threshold.tar.value
        plot_verification(pair_scores, pairs, operating_point, folder)
        if faces_path:
            draw_worst_pairs(features, pairs, pair_scores, faces_path, folder / "worst_pairs.png")

    return result, plot


def pairs_of_file(features: FeatureSet, head: Head | None, path: Path) -> Pairs:
    """The pairs of a file. Warns about pairs without features and about people that the head may have been trained on.

    Raises InputError.
    """
    pairs, missing = load_pairs(path, features)
    if missing:
        warn(f"{counted(len(missing), 'pair')} of {path} left out\n{summarize(missing)}")
    check_folds(pairs, at_least=1 if head else 2)
    people = {features.names[label] for label in pairs.people.ravel()}
    seen = len(people - set(head.held_out_people)) if head else 0
    if seen:
        warn(
            f"the head may have been trained on {counted(seen, 'person', 'people')} of the pairs; "
            "if so, the figures are too good (--cross_validate trains heads without them)"
        )
    return pairs


def judge_others(
    features: FeatureSet,
    head: Head | None,
    fit: Fitter | None,
    groups: list[Group],
    max_double: float | None,
    replicates: int,
    rng: np.random.Generator,
) -> OtherPeople:
    """Judge a head, and plain scores, on other people, at thresholds from the people that it held out.

    Args:
        features: people and strangers, see `with_strangers`.
        head: the head to evaluate; None for one that `fit` fits to all people, as train.py would.
        fit: fits a head; None to evaluate `head`.
        groups: the other people, see `load_groups`.
        max_double: leave out pairs of strangers with this cosine or a higher one; None for all pairs.
        replicates: bootstrap resamplings of the people.
        rng: random generator.
    """
    everybody, kind = np.arange(len(features.labels)), None
    if fit:
        before = fit.kinds.copy()
        head, held = fit(everybody)
        (kind,) = fit.kinds - before
        rows = held if len(held) else None
    else:
        rows = held_out_rows(features, head)
    if rows is None:
        warn("the thresholds for other people are from people on whom the head may have been trained")
    name = "here" if rows is None else "here, held out"
    rows = everybody if rows is None else rows
    here = Group(name, features.matrix[rows], features.labels[rows], stranger_label(features.names))
    result = measure_others(head, here, groups, max_double, replicates, int(rng.integers(2**32)))
    return dataclasses.replace(result, head=kind)


def identify(
    features: FeatureSet,
    head: Head | None,
    fit: Fitter | None,
    limits: WatchlistLimits,
    sizes: list[int],
    replicates: int,
    rng: np.random.Generator,
) -> tuple[OpenSet, Plot]:
    """Identify probes in galleries. Raises InputError.

    Args:
        features: people and strangers, see `with_strangers`.
        head: the head to evaluate; None to evaluate the one that `fit` trains.
        fit: trains a head on people who are neither enrolled nor strangers; None to evaluate `head`.
        limits: of people and photos.
        sizes: people in a gallery.
        replicates: bootstrap resamplings of the people.
        rng: random generator.
    """
    if fit:
        rows, who = split_people(features.labels, 1 - TRAINING_SHARE, 4, rng)[1], ""
        if not len(rows):
            raise InputError("--cross_validate needs four people with several photos, to train on those not enrolled")
    else:
        rows, who = unseen_rows(features, head)
    watchlist = sample_watchlist(features.labels, rows, limits, rng)
    if fit:
        tested = features.labels[np.concatenate([watchlist.probes, watchlist.strangers])]
        head, _ = fit(rows_without(features.labels, tested))
    seed = int(rng.integers(2**32))
    result, trials = measure_open_set(head, features.matrix, watchlist, sizes, who, replicates, seed)
    result = dataclasses.replace(result, heads=dict(fit.kinds) if fit else {})

    def plot(folder: Path) -> None:
        plot_identification(result.galleries, trials, folder / "identification.png")

    return result, plot
