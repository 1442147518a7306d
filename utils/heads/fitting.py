"""Fit a similarity head to features: choose its kind, calibrate it, choose its threshold, and measure it."""

import dataclasses
from contextlib import nullcontext
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
from utils.heads.keras_similarity import similarity_of
from utils.heads.operating_point import MIN_PEOPLE_TO_CALIBRATE, choose_operating_point
from utils.heads.options import PLAIN_KINDS, TrainingOptions
from utils.heads.pairs import STRANGER_LABEL, StackedRows, split_people
from utils.heads.plain import TYPICAL, PlainConstants, constants_of, fit_constants, plain_rule, plain_similarity
from utils.keras_models import check_finite
from utils.metrics import VerificationFigures

if TYPE_CHECKING:
    import keras
    from keras.callbacks import Callback

MIN_PEOPLE_TO_HOLD_OUT = 5  # with several images each; fewer are all needed for training


@dataclass(frozen=True)
class FittedHead:
    """A head and how it was fitted."""

    head: Head  # calibrated, with its threshold and vote
    model: "keras.Model"  # the same head, to save
    description: dict  # for `similarity.json`, except what only the script knows
    held: np.ndarray  # int (h,), rows of people that it did not learn from
    held_strangers: np.ndarray  # int (s,), rows of strangers that it did not learn from
    figures: VerificationFigures | None = None  # on the held-out rows, None if there are none
    history: dict = field(default_factory=dict)  # metric → a number an epoch; empty if nothing was trained in steps
    interrupted: bool = False  # whether Ctrl-C ended the training early
    reason: str | None = None  # why this kind was chosen; None if it was asked for
    cautions: tuple[str, ...] = ()  # what the user should know before relying on it


@dataclass(frozen=True)
class _Task:
    """What a head is fitted to, and how."""

    matrix: np.ndarray  # features of people, float32 (n, D)
    labels: np.ndarray  # the person of each row, int (n,)
    strangers: np.ndarray  # features of people without a name, float32 (m, D)
    options: TrainingOptions
    rng: np.random.Generator
    callbacks: tuple["Callback", ...]  # for Keras' `fit`
    verbose: int  # for Keras' `fit`

    def of_kind(self, kind: str) -> "_Task":
        """The same task for another kind of head."""
        return dataclasses.replace(self, options=dataclasses.replace(self.options, head=kind))

    def with_strangers(self) -> tuple[StackedRows, np.ndarray]:
        """The features and labels of people and strangers."""
        unnamed = np.full(len(self.strangers), STRANGER_LABEL, self.labels.dtype)
        return StackedRows(self.matrix, self.strangers), np.concatenate([self.labels, unnamed])

    def split(self) -> training.TrainingData:
        """Both, with a share of the people and of the strangers held out."""
        rows, held = split_people(self.labels, self.options.holdout, MIN_PEOPLE_TO_HOLD_OUT, self.rng)
        strangers = len(self.labels) + self.rng.permutation(len(self.strangers))
        count = round(self.options.holdout * len(strangers)) if len(held) else 0
        return training.TrainingData(
            *self.with_strangers(),
            rows=np.r_[rows, strangers[count:]],
            held=np.r_[held, strangers[:count]].astype(int),
        )


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
        matrix: features, float32 (n, D); they may be memory-mapped.
        labels: the person of each row, int (n,).
        strangers: float32 (m, D), features of people without a name, to train on and as held-out impostors.
        callbacks, verbose: for Keras' `fit`.

    Raises InputError if the head cannot be fitted to these people, see `check_kind`.
    """
    strangers = np.empty((0, matrix.shape[1]), np.float32) if strangers is None else strangers
    task = _Task(matrix, labels, strangers, options, rng, callbacks, verbose)
    return _fit_suitable(task) if options.head == "auto" else _fit_kind(task)


def _fit_kind(task: _Task) -> FittedHead:
    """A head of the kind that was asked for."""
    check_kind(task.options.head, task.options.extractor, task.matrix, task.labels)
    return _fit_plain(task) if task.options.head in PLAIN_KINDS else _fit_learned(task)


def _fit_suitable(task: _Task) -> FittedHead:
    """The default kind of head, unless there are enough people to learn from and what is learned is better.

    Better on people that neither head learned from, and no worse on strangers, see `Comparison.prefers_learned`.
    """
    options, labels = task.options, task.labels
    kind, *better = candidate_kinds(options.extractor, task.matrix, labels)
    if not better:
        people, several = len(np.unique(labels)), people_with_several(labels)
        reason = (
            f"{counted(people, 'person', 'people')}, {several} with several photos, are too few to learn from "
            f"(that takes {MIN_PEOPLE_TO_BEAT_PLAIN})"
        )
        return dataclasses.replace(_fit_kind(task.of_kind(kind)), reason=reason)
    learned = _fit_learned(task.of_kind(better[0]))
    plain = _fit_plain(task.of_kind(kind))
    if not len(learned.held):
        reason = f"nobody is held out, to show that {better[0]} is better"
        return dataclasses.replace(plain, reason=reason, interrupted=learned.interrupted)
    strangers = task.strangers[learned.held_strangers]
    result = compare_heads(
        plain.head, learned.head, task.matrix, labels, learned.held, strangers, options.far, task.rng
    )
    chosen = learned if result.prefers_learned else plain
    return dataclasses.replace(
        chosen,
        description=chosen.description | {"comparison": dataclasses.asdict(result)},
        reason=result.describe(kind, better[0]),
        interrupted=learned.interrupted,
    )


def _fit_learned(task: _Task) -> FittedHead:
    import keras

    data, options, rng = task.split(), task.options, task.rng
    keras.utils.set_random_seed(int(rng.integers(2**32)))  # for initial weights and dropout, which Keras draws itself
    train = {"plda": training.train_plda, "dense": training.train_dense}[options.head]
    with keras.distribution.DataParallel(devices=options.devices).scope() if options.devices[1:] else nullcontext():
        similarity, history, interrupted = train(data, options, rng, task.callbacks, task.verbose)
    check_finite(similarity, "training failed (a lower --learning_rate may help)")
    rule, figures = choose_operating_point(similarity, data.matrix, data.labels, data.held, options.far, rng)
    description = {"head": options.head, **rule}
    is_stranger = data.labels[data.held] == STRANGER_LABEL
    return FittedHead(
        head=Head(similarity_of(similarity), description),
        model=similarity,
        description=description,
        held=data.held[~is_stranger],
        held_strangers=data.held[is_stranger] - len(task.labels),
        figures=figures,
        history=history,
        interrupted=interrupted,
    )


def _fit_plain(task: _Task) -> FittedHead:
    """A plain head. Its constants were fitted on other people, or its logit and threshold are fitted on these.

    They are fitted on these people if there are none for the extractor, or if they do not fit these people. Nothing
    else is learned, so all people count as held out.
    """
    matrix, labels, options, rng = task.matrix, task.labels, task.options, task.rng
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
        everyone = task.with_strangers()
        similarity = plain_similarity(matrix.shape[1], fit_constants(options.head, *everyone, rng))
        rule, figures = choose_operating_point(similarity, *everyone, np.arange(len(everyone[1])), options.far, rng)
    else:
        similarity = plain_similarity(matrix.shape[1], constants)
        rule, figures = plain_rule(constants, options.far), None
    description = {"head": options.head, **rule}
    return FittedHead(
        head=Head(similarity_of(similarity), description),
        model=similarity,
        description=description,
        held=np.arange(len(labels)),
        held_strangers=np.arange(len(task.strangers)),
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
