"""Who is tested, and by which head: the two evaluations put together from their protocols, figures and plots."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from utils.cli import InputError, counted, summarize, warn
from utils.evaluation.identification import OpenSet, measure_open_set, sample_watchlist
from utils.evaluation.pairs import Pairs, check_folds, has_both_kinds, load_pairs, sample_pairs, stranger_label
from utils.evaluation.plots import draw_worst_pairs, plot_identification, plot_verification
from utils.evaluation.protocols import cross_validate, judge_pairs, rows_without
from utils.evaluation.report import write_people
from utils.evaluation.verification import Verification, measure_verification
from utils.features.feature_files import FeatureSet
from utils.heads.distance import constants_of
from utils.heads.head import Head
from utils.heads.pairs import split_people
from utils.heads.training import TrainingOptions, fit_head
from utils.keras_models import import_keras

TRAINING_SHARE = 0.4  # of the people, at least, that an identification by cross validation trains on

Fit = Callable[[np.ndarray], tuple[Head, np.ndarray]]
Plot = Callable[[Path], None]


def fitter(features: FeatureSet, kind: str, seed: int) -> Fit:
    """A function from rows to a head of a kind that learned from them, and those of the rows that it held out.

    Raises InputError for a distance head of an extractor whose distances are not known.
    """
    import_keras()
    options = TrainingOptions(head=kind, distance=constants_of(features.extractor) if kind == "distance" else None)

    def fit(rows):
        is_stranger = features.labels[rows] >= stranger_label(features.names)
        strangers, rows = features.matrix[rows[is_stranger]], rows[~is_stranger]
        matrix, labels = features.matrix[rows], features.labels[rows]
        fitted = fit_head(matrix, labels, options, np.random.default_rng(seed), strangers)
        if fitted.interrupted:  # Ctrl-C is meant for the whole evaluation, not for one fold's training
            raise KeyboardInterrupt
        return fitted.head, rows[fitted.held]

    return fit


def unseen_rows(features: FeatureSet, head: Head) -> tuple[np.ndarray, str]:
    """The rows of the people whom the head held out, and words for these; of all, with a warning, where it has none.

    Strangers are among them, with another warning: it is not known which of them the head held out.
    """
    held = np.isin(np.array(features.names)[features.labels], head.held_out_people)
    strangers = features.labels >= stranger_label(features.names)
    known = "it learned from them, the figures are better than for strangers"
    if strangers.any():
        warn(f"{counted(int(strangers.sum()), 'face')} of strangers count as impostors: where {known}")
    if held.any():
        return np.flatnonzero(held | strangers), " whom the head held out"
    warn(
        f"nobody here is among the people whom the head held out: these are all people of the folder, and where {known}"
    )
    return np.arange(len(features.labels)), ""


def verify(
    features: FeatureSet,
    head: Head | None,
    fit: Fit | None,
    pairs_path: Path | None,
    faces_path: Path | None,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[Verification, Plot]:
    """What is found by a head, or by those that `fit` trains, and a function that draws it into a folder.

    pairs_path: a file of pairs, otherwise they are of the people whom the head held out. faces_path: to show the worst.
    replicates: of the bootstrap. Raises InputError.
    """
    if pairs_path:
        pairs, who = pairs_of_file(features, head, pairs_path), f" of {pairs_path}"
    else:
        rows, who = unseen_rows(features, head)
        pairs = sample_pairs(features.labels, rows, rng, stranger_label(features.names))
        if not has_both_kinds(pairs.same):
            raise InputError(f"the people{who} make no pairs of both kinds, of the same person and of different people")
    judged = cross_validate(features, pairs, fit, rng) if fit else judge_pairs(features, pairs, head)
    found = measure_verification(judged, pairs, features.names, who, replicates, int(rng.integers(2**32)))

    def plot(folder: Path) -> None:
        write_people(folder / "people.csv", found.table)
        plot_verification(judged, pairs, (found.own_threshold.far.value, found.own_threshold.tar.value), folder)
        if faces_path:
            draw_worst_pairs(features, pairs, judged, faces_path, folder / "worst_pairs.png")

    return found, plot


def pairs_of_file(features: FeatureSet, head: Head | None, path: Path) -> Pairs:
    """The Pairs of a file; says which are left out, and whom the head may know. Raises InputError."""
    pairs, missing = load_pairs(path, features)
    if missing:
        warn(f"{counted(len(missing), 'pair')} of {path} left out\n{summarize(missing)}")
    check_folds(pairs, at_least=1 if head else 2)
    shown = {features.names[label] for label in pairs.people.ravel()}
    unknown = len(shown - set(head.held_out_people)) if head else 0
    if unknown:
        warn(
            f"{counted(unknown, 'person is', 'people are')} not among those whom the head held out: where it learned "
            "from them, the figures are better than for strangers (--cross_validate trains heads that did not)"
        )
    return pairs


def identify(
    features: FeatureSet,
    head: Head | None,
    fit: Fit | None,
    limits: tuple[int, int, int],
    sizes: list[int],
    replicates: int,
    rng: np.random.Generator,
) -> tuple[OpenSet, Plot]:
    """What is found by a head, or by one that `fit` trains, and a function that draws it into a folder.

    limits: people, strangers and a person's photos, at most. sizes: of galleries. Raises InputError.
    """
    if fit:  # the rest is trained on, and whoever of these is neither enrolled nor a stranger
        rows, who = split_people(features.labels, 1 - TRAINING_SHARE, 4, rng)[1], ""
        if not len(rows):
            raise InputError("--cross_validate needs four people with several photos, to train on those not enrolled")
    else:
        rows, who = unseen_rows(features, head)
    watchlist = sample_watchlist(features.labels, rows, *limits, rng)
    if fit:
        shown = features.labels[np.concatenate([watchlist.probes, watchlist.strangers])]
        head, _ = fit(rows_without(features.labels, shown))
    found, trials = measure_open_set(head, features.matrix, watchlist, sizes, who, replicates, int(rng.integers(2**32)))

    def plot(folder: Path) -> None:
        plot_identification(found.galleries, trials, folder / "identification.png")

    return found, plot
