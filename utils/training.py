"""Training a similarity head on pairs that are gathered on the fly, and measuring it on people it never saw."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.features import FeatureSet
from utils.head import Head
from utils.metrics import VerificationFigures, choose_threshold, pairs_of_people, verification_figures
from utils.pairs import all_negative_pairs, negative_pairs, positive_pairs

# Loss, in nats, that an epoch must gain to count as better. Gains below it come from pushing scores
# towards 0 and 1, which makes strangers who look like somebody score high too.
LEAST_PROGRESS = 0.005
MOST_IMPOSTOR_PAIRS = 500_000  # held-out pairs that choose the threshold; more would only take time


@dataclass(frozen=True)
class TrainingOptions:
    """epochs: at most. negatives: per positive pair. batch_size: pairs a step, None for `suitable_batch_size`.

    learning_rate: of Adam. patience: epochs without progress before it stops.
    """

    epochs: int
    negatives: float
    batch_size: int | None
    learning_rate: float
    patience: int


def train_similarity(
    similarity, features: FeatureSet, rows: np.ndarray, held: np.ndarray, options: TrainingOptions, rng
) -> tuple[dict, bool]:
    """Fit a two-input similarity model on all pairs of `rows`; the best epoch's weights stay in it.

    rows, held: int arrays of rows of the feature matrix, of different people. The best epoch is that
    of the lowest loss on the held-out people's pairs, or on the training pairs where nobody is held
    out; a later one must gain LEAST_PROGRESS to count. Returns Keras' history, metric → list of one number
    an epoch, and whether Ctrl-C ended it early.
    """
    from keras import callbacks, optimizers

    model = _indexed_model(similarity, features.matrix)
    model.compile(optimizers.Adam(options.learning_rate), "binary_crossentropy", metrics=["accuracy"])
    batches = _pair_batches(features.labels, rows, options, rng)
    validation = None
    if len(held):
        validation = _labelled(*_both_kinds(features.labels, held, options.negatives, rng))
    stop = callbacks.EarlyStopping(
        monitor="val_loss" if validation else "loss",
        min_delta=LEAST_PROGRESS,
        patience=options.patience,
        restore_best_weights=True,
    )
    with _ctrl_c_stops(model) as interrupted:
        model.fit(batches, epochs=options.epochs, validation_data=validation, callbacks=[stop], verbose=_verbosity())
    return model.history.history, bool(interrupted)


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


def _verbosity() -> int:
    return 1 if sys.stdout.isatty() else 2  # Keras' moving bar makes a mess of a log file


def _indexed_model(similarity, matrix: np.ndarray):
    """A model from index pairs int32 (n, 2) to probabilities: the feature matrix is a frozen table inside."""
    from keras import Input, Model, layers

    table = layers.Embedding(*matrix.shape, trainable=False, name="features")
    pair = Input((2,), dtype="int32", name="rows")
    model = Model(pair, similarity([table(pair[:, 0]), table(pair[:, 1])]), name="pairs_by_row")
    table.set_weights([matrix])
    return model


def _both_kinds(labels, rows, negatives: float, rng) -> tuple[np.ndarray, np.ndarray]:
    positive = positive_pairs(labels[rows])
    negative = negative_pairs(labels[rows], max(1, round(negatives * len(positive))), rng)
    return rows[positive].astype(np.int32), rows[negative].astype(np.int32)


def _labelled(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth = np.r_[np.ones(len(positive), np.float32), np.zeros(len(negative), np.float32)]
    return np.concatenate([positive, negative]), truth[:, None]


def suitable_batch_size(pairs: int) -> int:
    """About 50 steps an epoch: a desk's few hundred pairs would hardly move the weights in two or three."""
    return min(max(pairs // 50, 8), 512)


def _pair_batches(labels: np.ndarray, rows: np.ndarray, options: TrainingOptions, rng: np.random.Generator):
    from keras.utils import PyDataset

    class PairBatches(PyDataset):
        """All positives and freshly drawn negatives, shuffled anew for every epoch."""

        def __init__(self):
            super().__init__()
            self.on_epoch_end()
            self.batch_size = options.batch_size or suitable_batch_size(len(self.pairs))

        def on_epoch_end(self):
            pairs, truth = _labelled(*_both_kinds(labels, rows, options.negatives, rng))
            order = rng.permutation(len(pairs))
            self.pairs, self.truth = pairs[order], truth[order]

        def __len__(self) -> int:
            return -(-len(self.pairs) // self.batch_size)

        def __getitem__(self, index: int):
            part = slice(index * self.batch_size, (index + 1) * self.batch_size)
            return self.pairs[part], self.truth[part]

    return PairBatches()


def measure_held_out(
    head: Head, features: FeatureSet, held: np.ndarray, target_far: float, rng: np.random.Generator
) -> tuple[float, float, VerificationFigures]:
    """The threshold for a false accept rate, the FAR that the data supports, and figures, on held-out rows."""
    labels = features.labels[held]
    same = held[positive_pairs(labels)]
    different = held[all_negative_pairs(labels, MOST_IMPOSTOR_PAIRS, rng)]
    matrix = features.matrix
    scores = [head.score_pairs(matrix[p[:, 0]], matrix[p[:, 1]]) for p in (same, different)]
    distances = tuple(np.linalg.norm(matrix[p[:, 0]] - matrix[p[:, 1]], axis=1) for p in (same, different))
    people = len(np.unique(labels))
    threshold, supported_far = choose_threshold(scores[1], target_far, pairs_of_people(people))
    return threshold, supported_far, verification_figures(*scores, distances, threshold, people)


def plot_learning_curve(history: dict, path: Path) -> None:
    """Draw loss and accuracy by epoch into a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        epochs = np.arange(1, len(history[metric]) + 1)
        axes.plot(epochs, history[metric], "o-", color="#0072b2", label="training people")
        if f"val_{metric}" in history:
            axes.plot(epochs, history[f"val_{metric}"], "s--", color="#d55e00", label="held-out people")
        axes.set(xlabel="epoch", title=metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
