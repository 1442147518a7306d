"""Train the heads that learn: on pairs of row numbers, whose features are gathered batch by batch."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.figures import BLUE, VERMILION, save_figure
from utils.heads.batches import balanced_batches, both_kinds, labeled, padded, pair_batches, sample_balanced_rows
from utils.heads.choice import MIN_PEOPLE_TO_BEAT_PLAIN
from utils.heads.models import all_pairs_logits, create_model, dense_similarity, plda_similarity
from utils.heads.options import TrainingOptions
from utils.heads.pairs import PADDING_LABEL, STRANGER_LABEL, Features
from utils.heads.plda import fit_plda

if TYPE_CHECKING:
    import keras
    from keras.callbacks import Callback
    from keras.utils import PyDataset

# How much an epoch must lower the loss, in nats, to count as better. Smaller gains come from pushing scores towards
# 0 and 1, which also raises the scores of strangers who look like someone.
MIN_PROGRESS = 0.005
STEPS = 20  # balanced batches an epoch
MEASURED_BATCHES = 8  # for each point of the learning curve of plda heads; one batch would be too noisy
# The share of same-person pairs that the loss of plda heads assumes. A low one gives the different-person pairs with
# the highest scores, which are the hard ones at that step, a larger part of the gradient.
TRAINING_PRIOR = 0.1
LEARNING_RATES = {"plda": 3e-4, "dense": 1e-3}


@dataclass(frozen=True)
class TrainingData:
    """Features of people and strangers, split by person."""

    matrix: Features  # float32 (n, D)
    labels: np.ndarray  # int (n,), STRANGER_LABEL for strangers
    rows: np.ndarray  # int (r,), rows to train on
    held: np.ndarray  # int (h,), held-out rows


def train_plda(
    data: TrainingData,
    options: TrainingOptions,
    rng: np.random.Generator,
    callbacks: tuple["Callback", ...],
    verbose: int,
) -> tuple["keras.Model", dict, bool]:
    """Estimate the two-covariance model, then train all its numbers together on all pairs of balanced batches."""
    from keras import callbacks as keras_callbacks
    from keras import optimizers

    people = data.rows[data.labels[data.rows] != STRANGER_LABEL]
    similarity = plda_similarity(fit_plda(data.matrix, data.labels, people))
    if (np.unique(data.labels[people], return_counts=True)[1] > 1).sum() < MIN_PEOPLE_TO_BEAT_PLAIN:
        return similarity, {}, False  # training would only memorize the faces of so few people
    model = _all_pairs_model(similarity)
    schedule = optimizers.schedules.CosineDecay(options.learning_rate or LEARNING_RATES["plda"], options.epochs * STEPS)
    # The average of the weights along the way is better than the last weights.
    model.compile(optimizers.Adam(schedule, use_ema=True, ema_momentum=0.99), all_pairs_loss)

    def draw(rows: np.ndarray, steps: int, rng: np.random.Generator, fixed: bool = False) -> "PyDataset":
        batches = balanced_batches(data.matrix, data.labels, rows, steps, rng, fixed)
        return padded(batches, len(options.devices), PADDING_LABEL)

    batches = draw(data.rows, STEPS, rng)
    # The learning curve is measured on fixed batches, drawn so that they do not change what rng draws for training.
    validation, measuring = None, rng.spawn(1)[0]
    if len(data.held):
        sample_balanced_rows(data.labels, data.held, rng)  # unused; without this draw the same seed gives another head
    if options.learning_curve:
        if len(data.held):
            validation = draw(data.held, MEASURED_BATCHES, measuring, fixed=True)
        measured = draw(data.rows, MEASURED_BATCHES, measuring, fixed=True)
        # Keras' own training loss is an average over changing weights, which cannot be compared with the validation's.
        measure = keras_callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logs.update(loss=model.evaluate(measured, verbose=0))
        )
        callbacks = (measure, *callbacks)
    return similarity, *_fit(model, batches, validation, options.epochs, list(callbacks), verbose)


def all_pairs_loss(labels: "keras.KerasTensor", logits: "keras.KerasTensor") -> "keras.KerasTensor":
    """The cross-entropy of all pairs in a batch at TRAINING_PRIOR, a scalar.

    Same-person and different-person pairs are averaged separately, then weighted by the prior.

    labels: (n, 1), STRANGER_LABEL for strangers, who make no pairs with each other, PADDING_LABEL for rows without any
    pairs. logits: (n, n), log likelihood ratios, to which the prior is an offset.
    """
    from keras import ops

    equal = ops.equal(labels, ops.transpose(labels))
    itself = ops.eye(ops.shape(logits)[0], dtype=logits.dtype)
    same = ops.cast(ops.logical_and(equal, labels > STRANGER_LABEL), logits.dtype) * (1 - itself)
    counts = ops.cast(labels != PADDING_LABEL, logits.dtype)
    different = ops.cast(ops.logical_not(equal), logits.dtype) * counts * ops.transpose(counts)
    logits = logits + float(np.log(TRAINING_PRIOR / (1 - TRAINING_PRIOR)))
    rejects = ops.sum(ops.softplus(-logits) * same) / ops.maximum(ops.sum(same), 1)
    accepts = ops.sum(ops.softplus(logits) * different) / ops.maximum(ops.sum(different), 1)
    return rejects + accepts * (1 - TRAINING_PRIOR) / TRAINING_PRIOR


def train_dense(
    data: TrainingData,
    options: TrainingOptions,
    rng: np.random.Generator,
    callbacks: tuple["Callback", ...],
    verbose: int,
) -> tuple["keras.Model", dict, bool]:
    """The original recipe: all same-person pairs and new different-person pairs every epoch; the best epoch wins.

    Of more than MAX_SAME_PAIRS same-person pairs, every epoch draws that many.

    The best epoch has the lowest loss on pairs of held-out people, or on the training pairs if nobody is held out.
    An epoch must gain MIN_PROGRESS to count as better.
    """
    from keras import Model, losses, optimizers
    from keras import callbacks as keras_callbacks

    similarity = dense_similarity(create_model((data.matrix.shape[1],)), options.normalization)
    model = Model(similarity.inputs, similarity.outputs)  # the head itself is saved as if it had never been compiled
    rate = options.learning_rate or LEARNING_RATES["dense"]
    loss = losses.BinaryCrossentropy(reduction="mean_with_sample_weight")  # the weights are those of `padded`
    model.compile(optimizers.Adam(rate), loss, weighted_metrics=["accuracy"])

    def draw(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return labeled(*both_kinds(data.labels, rows, options.negatives, rng))

    batches, validation = pair_batches(data.matrix, lambda: _shuffled(*draw(data.rows), rng), options.batch_size), None
    if len(data.held):
        held = pair_batches(data.matrix, lambda: draw(data.held), options.batch_size, fixed=True)
        validation = padded(held, len(options.devices))
    stop = keras_callbacks.EarlyStopping(
        monitor="val_loss" if validation else "loss",
        min_delta=MIN_PROGRESS,
        patience=options.patience,
        restore_best_weights=True,
    )
    batches = padded(batches, len(options.devices))
    return similarity, *_fit(model, batches, validation, options.epochs, [stop, *callbacks], verbose)


def _fit(
    model: "keras.Model",
    batches: "PyDataset",
    validation: "PyDataset | None",
    epochs: int,
    callbacks: list["Callback"],
    verbose: int,
) -> tuple[dict, bool]:
    """Fit a model; returns Keras' history and whether a signal ended it early, after its current step."""
    from keras.callbacks import Callback
    from keras.initializers import RandomUniform

    RandomUniform()  # unused; without the seed that it draws, the same --seed shuffles the batches in another way

    class StopIfAsked(Callback):
        """Repeats a request to stop that came before Keras' `fit` set `stop_training` to False."""

        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            if interrupts.is_pending():
                stop()

    def stop() -> None:
        model.stop_training = True

    callbacks = [StopIfAsked(), *callbacks]
    # An exception raised in the middle of a TensorFlow step can crash the process.
    with interrupts.handled_by(stop):
        model.fit(batches, validation_data=validation, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return model.history.history, interrupts.is_pending()


def _shuffled(pairs: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(len(pairs))
    return pairs[order], truth[order]


def _all_pairs_model(similarity: "keras.Model") -> "keras.Model":
    """A model from features (n, D) to the logits (n, n) of all pairs of them."""
    from keras import Input, Model

    vectors = Input(similarity.input_shape[0][1:], name="features")
    return Model(vectors, all_pairs_logits(similarity, vectors), name="all_pairs")


def plot_learning_curve(history: dict, path: Path) -> None:
    """Plot the loss by epoch and, if there is one, the accuracy."""
    from matplotlib.figure import Figure

    metrics = [metric for metric in ("loss", "accuracy") if metric in history]
    figure = Figure(figsize=(4.5 * len(metrics), 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        epochs = np.arange(1, len(history[metric]) + 1)
        axes.plot(epochs, history[metric], "o-", color=BLUE, label="training people")
        if f"val_{metric}" in history:
            axes.plot(epochs, history[f"val_{metric}"], "s--", color=VERMILION, label="held-out people")
        axes.set(xlabel="epoch", title=metric)
        if metric == "loss":
            axes.set(ylabel="nats", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path)
