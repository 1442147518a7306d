"""Fitting a similarity head to features: train, calibrate, choose the threshold, measure on people it never saw."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.batches import balanced_batches, both_kinds, labelled, pair_batches
from utils.calibration import (
    ScoredPairs,
    bootstrap_operating_point,
    cross_fitted_error,
    expected_calibration_error,
    fit_platt,
    thresholds_by_rate,
)
from utils.cli import InputError, counted
from utils.distance import DISTANCES, EXTRACTOR, OFFSET, SCALE, distance_for_far, probability
from utils.features import FeatureSet
from utils.head import MOST_NUMBERS, Head
from utils.metrics import (
    RECIPE_MIN_VOTES,
    RECIPE_THRESHOLD,
    VerificationFigures,
    choose_threshold,
    pairs_of_people,
    verification_figures,
)
from utils.normalization import Normalization
from utils.pairs import NOBODY, all_negative_pairs, capped_rows, positive_pairs, split_people
from utils.plda import fit_plda
from utils.similarity import (
    all_pairs_logits,
    create_model,
    dense_similarity,
    distance_similarity,
    plda_similarity,
    rescale_logit,
)

HEADS = ("plda", "dense", "distance")
MIN_PEOPLE_TO_HOLD_OUT = 5  # with several images each; fewer are all needed for training
MIN_PEOPLE_TO_CALIBRATE = 20  # held out; fewer say too little about how sure the head is
# With several photos each: fewer dlib features than this train no head that beats their distance (docs/heads.md).
MIN_PEOPLE_TO_BEAT_DISTANCE = 50
# Where more pairs of so many people are nearer than the distance that is to accept one in a thousand, they are not
# faces of the kind that the constants are of: drawings for example.
MIN_PEOPLE_TO_DOUBT, CONFUSED_PHOTOS, MOST_CONFUSED = 5, 5, 0.2
# Loss, in nats, that an epoch must gain to count as better. Gains below it come from pushing scores
# towards 0 and 1, which makes strangers who look like somebody score high too.
LEAST_PROGRESS = 0.005
MOST_HELD_PAIRS = 500_000  # of different people, that choose the threshold; more would only take time
MOST_HELD_PHOTOS = 10  # of a held-out person
STEPS = 20  # of balanced batches in an epoch
# The share of same pairs that the loss of plda heads assumes. It makes the negatives with the highest scores,
# which are the hard ones for the head as it is at that step, count for more of the gradient than the rest.
TRAINING_PRIOR = 0.1
LEARNING_RATES = {"plda": 3e-4, "dense": 1e-3}


@dataclass(frozen=True)
class TrainingOptions:
    """How a head is fitted.

    head: one of HEADS. epochs: at most. holdout: share of the people kept for measuring. far: the false
    accept rate that the threshold is chosen for. learning_rate: of Adam, None for the head's own.
    For dense heads, negatives: per positive pair; batch_size: pairs a step, None for a fiftieth of all;
    patience: epochs without progress before it stops; normalization: statistics to build in, None for none.
    """

    head: str = "plda"
    epochs: int = 15
    holdout: float = 0.2
    far: float = 0.001
    learning_rate: float | None = None
    negatives: float = 1.5
    batch_size: int | None = None
    patience: int = 4
    normalization: Normalization | None = None


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


def suitable_head(features: FeatureSet, holdout: float, far: float) -> tuple[str, str | None]:
    """Which of HEADS these people are enough for, and why it is not the best one, if it is not.

    PLDA where enough people have several photos. With dlib features enough must be held out, too, to know
    the false accept rate `far`, else it is the distance head, which knows it of other people; unless it fails
    on these. With features of other extractors few people get the original recipe's head.
    """
    counts = np.unique(features.labels, return_counts=True)[1]
    several = int((counts > 1).sum())
    known = features.extractor == EXTRACTOR
    supported = not known or pairs_of_people(round(holdout * len(counts))) * far >= 1
    if several >= MIN_PEOPLE_TO_BEAT_DISTANCE and supported:
        return "plda", None
    few = f"{counted(len(counts), 'person is', 'people are')} too few to train the best head"
    if supported:
        return "dense", f"{few}: it is the original recipe's"
    few += f" and to know its false accept rate of {far:g}"
    confused = confused_share(features, distance_for_far(far)) if len(counts) >= MIN_PEOPLE_TO_DOUBT else 0.0
    if known and (confused <= MOST_CONFUSED or not several):
        return "distance", f"{few}: it is distance itself, with constants fitted on other people"
    reason = f"distance takes {confused:.0%} of pairs of these people for one person"
    return "dense", f"{few}, and {reason}: it is the original recipe's"


def confused_share(features: FeatureSet, distance: float) -> float:
    """The share of pairs of people whose nearest photos, of CONFUSED_PHOTOS each, are nearer than a distance."""
    rows = capped_rows(features.labels, CONFUSED_PHOTOS, np.random.default_rng(0))
    matrix, labels = features.matrix[rows].astype(np.float64), features.labels[rows]
    squares = (matrix**2).sum(axis=1)
    near = squares[:, None] + squares - 2 * matrix @ matrix.T < distance**2
    first, second = np.nonzero(near & (labels[:, None] < labels))
    pairs = np.unique(np.stack([labels[first], labels[second]]), axis=1).shape[1]
    return pairs / pairs_of_people(len(np.unique(labels)))


def check_trainable(labels: np.ndarray) -> None:
    """Raise InputError unless the labels int (n,) make both kinds of pairs."""
    counts = np.unique(labels, return_counts=True)[1]
    without = "; only dlib's extractor has a distance head, which needs no training (network.py --backbone dlib)"
    if len(counts) < 2:
        reason = "training needs at least two people: pairs of different people are half of what is learned"
        raise InputError(reason + without)
    if counts.max() < 2:
        reason = "training needs a person with at least two images: there is no pair of the same person"
        raise InputError(reason + without)


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
        return _distance_head(matrix.shape[1], options.far)
    check_trainable(labels)
    matrix, labels, rows, held = _split(matrix, labels, strangers, options.holdout, rng)
    keras.utils.set_random_seed(int(rng.integers(2**32)))  # of initial weights and dropout, which Keras draws itself
    train = {"plda": _train_plda, "dense": _train_dense}[options.head]
    similarity, history, interrupted = train(matrix, labels, rows, held, options, rng, callbacks, verbose)
    rule, figures = _operating_point(similarity, matrix, labels, held, options.far, rng)
    description = {"head": options.head, **rule}
    head = Head(similarity, description)
    return FittedHead(head, description, held[labels[held] != NOBODY], figures, history, interrupted)


def _split(matrix, labels, strangers, holdout: float, rng):
    """Features and labels with the strangers as NOBODY after the people, and training and held-out rows of both."""
    rows, held = split_people(labels, holdout, MIN_PEOPLE_TO_HOLD_OUT, rng)
    if strangers is None or not len(strangers):
        return matrix, labels, rows, held
    nobodies = len(labels) + rng.permutation(len(strangers))
    count = round(holdout * len(strangers)) if len(held) else 0
    matrix = np.concatenate([matrix, strangers])
    labels = np.concatenate([labels, np.full(len(strangers), NOBODY, labels.dtype)])
    return matrix, labels, np.r_[rows, nobodies[count:]], np.r_[held, nobodies[:count]].astype(int)


def _distance_head(dimension: int, far: float) -> FittedHead:
    description = {
        "head": "distance",
        "threshold": probability(distance_for_far(far)),
        "min_votes": None,
        "far": max(far, min(DISTANCES)),
        "thresholds": [[rate, probability(distance)] for rate, distance in DISTANCES.items()],
        "held_out": None,
        "calibration": "constants of other people, see utils/distance.py",
    }
    head = Head(distance_similarity(dimension, SCALE, OFFSET), description)
    return FittedHead(head, description, np.empty(0, int))


def _train_plda(matrix, labels, rows, held, options: TrainingOptions, rng, callbacks, verbose):
    """The two-covariance model, then all its numbers together on balanced batches of which every pair counts."""
    from keras import optimizers

    people = rows[labels[rows] != NOBODY]
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

    labels: (n, 1), NOBODY for strangers, who make no pair with each other. logits: (n, n), log likelihood
    ratios, so that the prior is an offset to them.
    """
    from keras import ops

    equal = ops.equal(labels, ops.transpose(labels))
    itself = ops.eye(ops.shape(logits)[0], dtype=logits.dtype)
    same = ops.cast(ops.logical_and(equal, labels != NOBODY), logits.dtype) * (1 - itself)
    different = ops.cast(ops.logical_not(equal), logits.dtype)
    logits = logits + float(np.log(TRAINING_PRIOR / (1 - TRAINING_PRIOR)))
    rejects = ops.sum(ops.softplus(-logits) * same) / ops.maximum(ops.sum(same), 1)
    accepts = ops.sum(ops.softplus(logits) * different) / ops.maximum(ops.sum(different), 1)
    return rejects + accepts * (1 - TRAINING_PRIOR) / TRAINING_PRIOR


def _train_dense(matrix, labels, rows, held, options: TrainingOptions, rng, callbacks, verbose):
    """The original recipe: all same pairs, fresh different ones every epoch; the best epoch's weights stay.

    The best epoch is that of the lowest loss on the held-out people's pairs, or on the training pairs where
    nobody is held out; a later one must gain LEAST_PROGRESS to count.
    """
    from keras import callbacks as keras_callbacks
    from keras import optimizers

    similarity = dense_similarity(create_model((matrix.shape[1],)), options.normalization)
    model = _pairs_model(similarity, matrix)
    rate = options.learning_rate or LEARNING_RATES["dense"]
    model.compile(optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    batches = pair_batches(labels, rows, options.negatives, options.batch_size, rng)
    validation = labelled(*both_kinds(labels, held, options.negatives, rng)) if len(held) else None
    stop = keras_callbacks.EarlyStopping(
        monitor="val_loss" if validation else "loss",
        min_delta=LEAST_PROGRESS,
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


def _operating_point(similarity, matrix, labels, held, target_far: float, rng):
    """Calibrate the head, choose its rule, and describe both; figures are None where nobody is held out."""
    if not len(held):
        rule = {"threshold": RECIPE_THRESHOLD, "min_votes": RECIPE_MIN_VOTES, "far": None}
        return {**rule, "held_out": None, "calibration": None}, None
    kept = held[labels[held] != NOBODY]
    kept = np.r_[kept[capped_rows(labels[kept], MOST_HELD_PHOTOS, rng)], held[labels[held] == NOBODY]]
    matrix, labels = matrix[kept], labels[kept]
    pairs = positive_pairs(labels), all_negative_pairs(labels, MOST_HELD_PAIRS, rng)
    scored = score_pairs(Head(similarity, {}), matrix, labels, *pairs)
    people = len(set(labels.tolist()) - {NOBODY})
    calibration = None
    if people >= MIN_PEOPLE_TO_CALIBRATE:
        calibration = {
            "error_before": expected_calibration_error(scored.same, scored.different),
            "error_after": cross_fitted_error(scored, rng),
        }
        rescale_logit(similarity, *fit_platt(scored))
        scored = score_pairs(Head(similarity, {}), matrix, labels, *pairs)
    threshold, supported = choose_threshold(scored.different, target_far, pairs_of_people(people))
    distances = tuple(_row_distances(matrix, part) for part in pairs)
    figures = verification_figures(scored.same, scored.different, distances, threshold, people)
    return {
        "threshold": threshold,
        # What the data cannot show needs the stricter vote.
        "min_votes": None if supported == target_far else RECIPE_MIN_VOTES,
        "far": supported,
        "thresholds": thresholds_by_rate(scored.different, max(1 / pairs_of_people(people), 1 / len(pairs[1]))),
        **bootstrap_operating_point(scored, threshold, supported, rng),
        "held_out": figures.as_dict(),
        "calibration": calibration,
    }, figures


def score_pairs(head: Head, matrix, labels, same: np.ndarray, different: np.ndarray) -> ScoredPairs:
    """A head's probabilities of pairs of rows of a feature matrix, (p, 2) and (q, 2), and whose they are."""
    first, second = (head.score_rows(matrix, pairs) for pairs in (same, different))
    people = labels[different]
    # Strangers are told apart, though nobody knows it: each is a person of its own to the bootstrap.
    people = np.where(people == NOBODY, labels.max() + 1 + different, people)
    return ScoredPairs(first, second, labels[same[:, 0]], people)


def _row_distances(matrix: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    parts = np.array_split(pairs, max(1, pairs.size * matrix.shape[1] // MOST_NUMBERS))
    return np.concatenate([np.linalg.norm(matrix[p[:, 0]] - matrix[p[:, 1]], axis=1) for p in parts])


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
