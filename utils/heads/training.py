"""Fitting a similarity head to features: train, calibrate, choose the threshold, measure on people it never saw."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.heads.batches import balanced_batches, both_kinds, labeled, pair_batches
from utils.heads.choice import MIN_PEOPLE_TO_BEAT_DISTANCE, check_trainable
from utils.heads.distance import DistanceConstants
from utils.heads.head import Head
from utils.heads.models import (
    all_pairs_logits,
    create_model,
    dense_similarity,
    distance_similarity,
    plda_similarity,
)
from utils.heads.operating_point import choose_operating_point
from utils.heads.options import TrainingOptions
from utils.heads.pairs import STRANGER_LABEL, split_people
from utils.heads.plda import fit_plda
from utils.metrics import VerificationFigures

MIN_PEOPLE_TO_HOLD_OUT = 5  # with several images each; fewer are all needed for training
# Loss, in nats, that an epoch must gain to count as better. Gains below it come from pushing scores
# towards 0 and 1, which makes strangers who look like somebody score high too.
MIN_PROGRESS = 0.005
STEPS = 20  # of balanced batches in an epoch
# The share of same pairs that the loss of plda heads assumes. It makes the negatives with the highest scores,
# which are the hard ones for the head as it is at that step, count for more of the gradient than the rest.
TRAINING_PRIOR = 0.1
LEARNING_RATES = {"plda": 3e-4, "dense": 1e-3}


@dataclass(frozen=True)
class FittedHead:
    """A head and how it came about.

    head: calibrated, with its threshold and vote. description: for `similarity.json`, all but what only
    the script knows. held: int (h,), rows that it did not see. figures: on those, None where there are none.
    history: Keras', metric → a number an epoch, empty where nothing was trained step by step.
    interrupted: whether Ctrl-C ended the training early.
    """

    head: Head
    description: dict
    held: np.ndarray
    figures: VerificationFigures | None = None
    history: dict = field(default_factory=dict)
    interrupted: bool = False


def fit_head(
    matrix: np.ndarray,
    labels: np.ndarray,
    options: TrainingOptions,
    rng: np.random.Generator,
    strangers: np.ndarray | None = None,
    callbacks: tuple = (),
    verbose: int = 0,
) -> FittedHead:
    """Train a head on features (n, D) of people int (n,), calibrate it and choose its threshold; no file is touched.

    A share of the people is held out: they calibrate, and choose the threshold. strangers: float32 (m, D),
    faces that are nobody's, in training and among the held-out impostors. callbacks, verbose: for
    Keras' `fit`. The same rng state gives the same head. Raises InputError where there are not
    two people, one of them with two faces (the distance head needs none).
    """
    import keras

    if options.head == "distance":
        if options.distance is None:
            raise ValueError("a distance head needs the constants of its extractor. Received: None")
        return _distance_head(matrix.shape[1], options.far, options.distance)
    check_trainable(labels)
    matrix, labels, rows, held = _split(matrix, labels, strangers, options.holdout, rng)
    keras.utils.set_random_seed(int(rng.integers(2**32)))  # of initial weights and dropout, which Keras draws itself
    train = {"plda": _train_plda, "dense": _train_dense}[options.head]
    similarity, history, interrupted = train(matrix, labels, rows, held, options, rng, callbacks, verbose)
    rule, figures = choose_operating_point(similarity, matrix, labels, held, options.far, rng)
    description = {"head": options.head, **rule}
    head = Head(similarity, description)
    return FittedHead(head, description, held[labels[held] != STRANGER_LABEL], figures, history, interrupted)


def _split(matrix, labels, strangers, holdout: float, rng):
    """Features and labels with the strangers as STRANGER_LABEL after the people, and training and held-out rows of both."""
    rows, held = split_people(labels, holdout, MIN_PEOPLE_TO_HOLD_OUT, rng)
    if strangers is None or not len(strangers):
        return matrix, labels, rows, held
    nobodies = len(labels) + rng.permutation(len(strangers))
    count = round(holdout * len(strangers)) if len(held) else 0
    matrix = np.concatenate([matrix, strangers])
    labels = np.concatenate([labels, np.full(len(strangers), STRANGER_LABEL, labels.dtype)])
    return matrix, labels, np.r_[rows, nobodies[count:]], np.r_[held, nobodies[:count]].astype(int)


def _distance_head(dimension: int, far: float, constants: DistanceConstants) -> FittedHead:
    description = {
        "head": "distance",
        "threshold": constants.probability(constants.distance_for_far(far)),
        "min_votes": None,
        "far": max(far, min(constants.distances)),
        "thresholds": [[rate, constants.probability(distance)] for rate, distance in constants.distances.items()],
        "held_out": None,
        "calibration": "constants of other people, see utils/heads/distance.py",
    }
    head = Head(distance_similarity(dimension, constants.scale, constants.offset), description)
    return FittedHead(head, description, np.empty(0, int))


def _train_plda(matrix, labels, rows, held, options: TrainingOptions, rng, callbacks, verbose):
    """The two-covariance model, then all its numbers together on balanced batches of which every pair counts."""
    from keras import optimizers

    people = rows[labels[rows] != STRANGER_LABEL]
    similarity = plda_similarity(fit_plda(matrix[people], labels[people]))
    if (np.unique(labels[people], return_counts=True)[1] > 1).sum() < MIN_PEOPLE_TO_BEAT_DISTANCE:
        return similarity, {}, False  # a few people's faces would be learned by heart
    model = _all_pairs_model(similarity, matrix)
    schedule = optimizers.schedules.CosineDecay(options.learning_rate or LEARNING_RATES["plda"], options.epochs * STEPS)
    # The average of the weights on their way is better than where they end.
    model.compile(optimizers.Adam(schedule, use_ema=True, ema_momentum=0.99), all_pairs_loss)
    batches = balanced_batches(labels, rows, STEPS, rng)
    validation = balanced_batches(labels, held, 1, rng, fixed=True) if len(held) else None
    with _ctrl_c_stops(model) as interrupted:
        model.fit(batches, epochs=options.epochs, validation_data=validation, callbacks=[*callbacks], verbose=verbose)
    return similarity, model.history.history, bool(interrupted)


def all_pairs_loss(labels, logits):
    """Cross-entropy of all pairs in a batch at TRAINING_PRIOR, a scalar; same and different pairs are averaged apart.

    labels: (n, 1), STRANGER_LABEL for strangers, who make no pair with each other. logits: (n, n), log likelihood
    ratios, so that the prior is an offset to them.
    """
    from keras import ops

    equal = ops.equal(labels, ops.transpose(labels))
    itself = ops.eye(ops.shape(logits)[0], dtype=logits.dtype)
    same = ops.cast(ops.logical_and(equal, labels != STRANGER_LABEL), logits.dtype) * (1 - itself)
    different = ops.cast(ops.logical_not(equal), logits.dtype)
    logits = logits + float(np.log(TRAINING_PRIOR / (1 - TRAINING_PRIOR)))
    rejects = ops.sum(ops.softplus(-logits) * same) / ops.maximum(ops.sum(same), 1)
    accepts = ops.sum(ops.softplus(logits) * different) / ops.maximum(ops.sum(different), 1)
    return rejects + accepts * (1 - TRAINING_PRIOR) / TRAINING_PRIOR


def _train_dense(matrix, labels, rows, held, options: TrainingOptions, rng, callbacks, verbose):
    """The original recipe: all same pairs, fresh different ones every epoch; the best epoch's weights stay.

    The best epoch is that of the lowest loss on the held-out people's pairs, or on the training pairs where
    nobody is held out; a later one must gain MIN_PROGRESS to count.
    """
    from keras import callbacks as keras_callbacks
    from keras import optimizers

    similarity = dense_similarity(create_model((matrix.shape[1],)), options.normalization)
    model = _pairs_model(similarity, matrix)
    rate = options.learning_rate or LEARNING_RATES["dense"]
    model.compile(optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    batches = pair_batches(labels, rows, options.negatives, options.batch_size, rng)
    validation = labeled(*both_kinds(labels, held, options.negatives, rng)) if len(held) else None
    stop = keras_callbacks.EarlyStopping(
        monitor="val_loss" if validation else "loss",
        min_delta=MIN_PROGRESS,
        patience=options.patience,
        restore_best_weights=True,
    )
    with _ctrl_c_stops(model) as interrupted:
        model.fit(
            batches,
            epochs=options.epochs,
            validation_data=validation,
            callbacks=[stop, *callbacks],
            verbose=verbose,
        )
    return similarity, model.history.history, bool(interrupted)


@contextlib.contextmanager
def _ctrl_c_stops(model) -> Iterator[list]:
    """Let Ctrl-C end a fit after its current step, and a second one at once. Yields a list that it is noted in.

    An exception out of the middle of TensorFlow's step can crash the process.
    """
    interrupted = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread can catch signals
        yield interrupted
        return

    def stop(*_):
        interrupted.append(True)
        model.stop_training = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _feature_table(matrix: np.ndarray):
    """A layer from row numbers to features: the matrix lies on the device once, and steps gather from it."""
    from keras import layers

    table = layers.Embedding(*matrix.shape, trainable=False, name="features")
    table.build()
    table.set_weights([matrix])
    return table


def _pairs_model(similarity, matrix: np.ndarray):
    """A model from index pairs int32 (n, 2) to probabilities (n, 1)."""
    from keras import Input, Model

    pair, table = Input((2,), dtype="int32", name="rows"), _feature_table(matrix)
    return Model(pair, similarity([table(pair[:, 0]), table(pair[:, 1])]), name="pairs_by_row")


def _all_pairs_model(similarity, matrix: np.ndarray):
    """A model from row numbers int32 (n,) to the logits (n, n) of every two of them."""
    from keras import Input, Model

    rows = Input((), dtype="int32", name="rows")
    return Model(rows, all_pairs_logits(similarity, _feature_table(matrix)(rows)), name="all_pairs_by_row")


def plot_learning_curve(history: dict, path: Path) -> None:
    """Draw loss and, where there is one, accuracy by epoch into a PNG file."""
    from matplotlib.figure import Figure

    metrics = [metric for metric in ("loss", "accuracy") if metric in history]
    figure = Figure(figsize=(4.5 * len(metrics), 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        epochs = np.arange(1, len(history[metric]) + 1)
        axes.plot(epochs, history[metric], "o-", color="#0072b2", label="training people")
        if f"val_{metric}" in history:
            axes.plot(epochs, history[f"val_{metric}"], "s--", color="#d55e00", label="held-out people")
        axes.set(xlabel="epoch", title=metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
