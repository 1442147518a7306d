"""Fit a similarity head to features: choose its kind, calibrate it, choose its threshold, and measure it."""

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from utils.cli import counted
from utils.heads import training
from utils.heads.choice import (
    MIN_PEOPLE_TO_BEAT_PLAIN,
    are_confused,
    candidate_kinds,
    check_kind,
    confused_share,
    people_with_several,
)
from utils.heads.comparison import compare_heads
from utils.heads.head import Head
from utils.heads.operating_point import MIN_PEOPLE_TO_CALIBRATE, choose_operating_point
from utils.heads.options import PLAIN_KINDS, TrainingOptions
from utils.heads.pairs import STRANGER_LABEL, split_people
from utils.heads.plain import TYPICAL, PlainConstants, constants_of, fit_constants, plain_rule, plain_similarity
from utils.keras_models import check_finite
from utils.metrics import VerificationFigures

if TYPE_CHECKING:
    from keras.callbacks import Callback

MIN_PEOPLE_TO_HOLD_OUT = 5  # with several images each; fewer are all needed for training


@dataclass(frozen=True)
class FittedHead:
    """A head and how it was fitted."""

    head: Head  # calibrated, with its threshold and vote
    description: dict  # for `similarity.json`, except what only the script knows
    held: np.ndarray  # int (h,), rows of people that it did not learn from
    held_strangers: np.ndarray  # int (s,), rows of strangers that it did not learn from
    figures: VerificationFigures | None = None  # on the held-out rows, None if there are none
    history: dict = field(default_factory=dict)  # metric → a number an epoch; empty if nothing was trained in steps
    interrupted: bool = False  # whether Ctrl-C ended the training early
    reason: str | None = None  # why this kind was chosen; None if it was asked for
    cautions: tuple[str, ...] = ()  # what the user should know before relying on it


def fit_head(
    matrix: np.ndarray,
    labels: np.ndarray,
    options: TrainingOptions,
    rng: np.random.Generator,
    strangers: np.ndarray | None = None,
    callbacks: tuple["Callback", ...] = (),
    verbose: int = 0,
) -> FittedHead:
    """Train a head, calibrate it and choose its threshold on held-out people. No file is touched.

    The same state of rng gives the same head.

    Args:
        matrix: features, float32 (n, D).
        labels: the person of each row, int (n,).
        strangers: float32 (m, D), features of people without a name, to train on and as held-out impostors.
        callbacks, verbose: for Keras' `fit`.

    Raises InputError if the head cannot be fitted to these people, see `check_kind`.
    """
    strangers = np.empty((0, matrix.shape[1]), np.float32) if strangers is None else strangers
    if options.head == "auto":
        return _fit_suitable(matrix, labels, options, rng, strangers, callbacks, verbose)
    check_kind(options.head, options.extractor, matrix, labels)
    if options.head in PLAIN_KINDS:
        return _fit_plain(matrix, labels, options, rng, strangers)
    return _fit_learned(matrix, labels, options, rng, strangers, callbacks, verbose)


def _fit_suitable(
    matrix: np.ndarray,
    labels: np.ndarray,
    options: TrainingOptions,
    rng: np.random.Generator,
    strangers: np.ndarray,
    callbacks: tuple["Callback", ...],
    verbose: int,
) -> FittedHead:
    """The default kind of head, unless there are enough people to learn from and what is learned is better.

    Better on people that neither head learned from, and no worse on strangers, see `Comparison.prefers_learned`.
    """
    kind, *better = candidate_kinds(options.extractor, matrix, labels)
    if not better:
        default = dataclasses.replace(options, head=kind)
        fitted = fit_head(matrix, labels, default, rng, strangers, callbacks, verbose)
        people, several = len(np.unique(labels)), people_with_several(labels)
        reason = (
            f"{counted(people, 'person', 'people')}, {several} with several photos, are too few to learn from "
            f"(that takes {MIN_PEOPLE_TO_BEAT_PLAIN})"
        )
        return dataclasses.replace(fitted, reason=reason)
    learned_options = dataclasses.replace(options, head=better[0])
    learned = _fit_learned(matrix, labels, learned_options, rng, strangers, callbacks, verbose)
    plain = _fit_plain(matrix, labels, dataclasses.replace(options, head=kind), rng, strangers)
    if not len(learned.held):
        reason = f"nobody is held out, to show that {better[0]} is better"
        return dataclasses.replace(plain, reason=reason, interrupted=learned.interrupted)
    held, held_strangers = learned.held, strangers[learned.held_strangers]
    result = compare_heads(plain.head, learned.head, matrix[held], labels[held], held_strangers, options.far, rng)
    chosen = learned if result.prefers_learned else plain
    return dataclasses.replace(
        chosen,
        description=chosen.description | {"comparison": dataclasses.asdict(result)},
        reason=result.describe(kind, better[0]),
        interrupted=learned.interrupted,
    )


def _fit_learned(
    matrix: np.ndarray,
    labels: np.ndarray,
    options: TrainingOptions,
    rng: np.random.Generator,
    strangers: np.ndarray,
    callbacks: tuple["Callback", ...],
    verbose: int,
) -> FittedHead:
    import keras

    data = _split(matrix, labels, strangers, options.holdout, rng)
    keras.utils.set_random_seed(int(rng.integers(2**32)))  # for initial weights and dropout, which Keras draws itself
    train = {"plda": training.train_plda, "dense": training.train_dense}[options.head]
    similarity, history, interrupted = train(data, options, rng, callbacks, verbose)
    check_finite(similarity, "training failed (a lower --learning_rate may help)")
    rule, figures = choose_operating_point(similarity, data.matrix, data.labels, data.held, options.far, rng)
    description = {"head": options.head, **rule}
    is_stranger = data.labels[data.held] == STRANGER_LABEL
    return FittedHead(
        head=Head(similarity, description),
        description=description,
        held=data.held[~is_stranger],
        held_strangers=data.held[is_stranger] - len(labels),
        figures=figures,
        history=history,
        interrupted=interrupted,
    )


def _split(
    matrix: np.ndarray, labels: np.ndarray, strangers: np.ndarray, holdout: float, rng: np.random.Generator
) -> training.TrainingData:
    """Append the strangers to the people, and hold out a share of both."""
    rows, held = split_people(labels, holdout, MIN_PEOPLE_TO_HOLD_OUT, rng)
    if not len(strangers):
        return training.TrainingData(matrix, labels, rows, held)
    stranger_rows = len(labels) + rng.permutation(len(strangers))
    count = round(holdout * len(strangers)) if len(held) else 0
    return training.TrainingData(
        *_with_strangers(matrix, labels, strangers),
        rows=np.r_[rows, stranger_rows[count:]],
        held=np.r_[held, stranger_rows[:count]].astype(int),
    )


def _with_strangers(matrix: np.ndarray, labels: np.ndarray, strangers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unnamed = np.full(len(strangers), STRANGER_LABEL, labels.dtype)
    return np.concatenate([matrix, strangers]), np.concatenate([labels, unnamed])


def _fit_plain(
    matrix: np.ndarray, labels: np.ndarray, options: TrainingOptions, rng: np.random.Generator, strangers: np.ndarray
) -> FittedHead:
    """A plain head. Its constants were fitted on other people, or its logit and threshold are fitted on these.

    They are fitted on these people if there are none for the extractor, or if they do not fit these people. Nothing
    else is learned, so all people count as held out.
    """
    known = constants_of(options.extractor, options.head)
    constants = known or TYPICAL
    enough = people_with_several(labels) >= MIN_PEOPLE_TO_CALIBRATE
    confused, cautions = are_confused(matrix, labels, constants), []
    if not (known or enough or confused):
        cautions.append(
            f"what a cosine of these features means is not known, and calibrating it takes {MIN_PEOPLE_TO_CALIBRATE} "
            "people with several photos: it is taken to mean what is typical of face networks"
        )
    if confused and (known or not enough):
        cautions.append(_confusion(matrix, labels, constants))
    if confused or (enough and not known):
        everyone = _with_strangers(matrix, labels, strangers)
        similarity = plain_similarity(matrix.shape[1], fit_constants(options.head, *everyone, rng))
        rule, figures = choose_operating_point(similarity, *everyone, np.arange(len(everyone[1])), options.far, rng)
    else:
        similarity = plain_similarity(matrix.shape[1], constants)
        rule, figures = plain_rule(constants, options.far), None
    description = {"head": options.head, **rule}
    return FittedHead(
        head=Head(similarity, description),
        description=description,
        held=np.arange(len(labels)),
        held_strangers=np.arange(len(strangers)),
        figures=figures,
        cautions=tuple(cautions),
    )


def _confusion(matrix: np.ndarray, labels: np.ndarray, constants: PlainConstants) -> str:
    share = confused_share(matrix, labels, constants)
    return (
        f"{share:.0%} of the pairs of these people look alike to this network, as drawn people or small children do: "
        f"the threshold is chosen on these {len(np.unique(labels))} people. Faces of more such people in _strangers/ "
        "help to tell them from strangers"
    )
