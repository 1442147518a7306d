"""Training batches, chosen in one of two ways. Each takes its rows from the feature matrix, which may be on disk."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from utils.heads.pairs import STRANGER_LABEL, Features, all_positive_pairs, negative_pairs

if TYPE_CHECKING:
    from keras.utils import PyDataset

PEOPLE = 128  # people with several photos in a balanced batch; as many single faces come with them
PHOTOS = 2  # of each of these people
# Same-person pairs an epoch of the original recipe; all of LFW's people make 242,257.
MAX_SAME_PAIRS = 1 << 19


def both_kinds(
    labels: np.ndarray, rows: np.ndarray, negatives: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The same-person pairs among rows and `negatives` times as many random different-person pairs, int32 (n, 2).

    All same-person pairs, or MAX_SAME_PAIRS random ones if there are more.
    """
    positive = all_positive_pairs(labels[rows], MAX_SAME_PAIRS, rng)
    negative = negative_pairs(labels[rows], max(1, round(negatives * len(positive))), rng)
    return rows[positive].astype(np.int32), rows[negative].astype(np.int32)


def labeled(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both kinds of pairs, int32 (n, 2), and their truth, float32 (n, 1): 1 for the same person."""
    truth = np.r_[np.ones(len(positive), np.float32), np.zeros(len(negative), np.float32)]
    return np.concatenate([positive, negative]), truth[:, None]


def training_batch_size(pairs: int) -> int:
    """About 50 steps an epoch, because a few hundred pairs in two or three steps hardly change the weights."""
    return min(max(pairs // 50, 8), 512)


def pair_batches(
    matrix: Features,
    draw: Callable[[], tuple[np.ndarray, np.ndarray]],
    batch_size: int | None,
    fixed: bool = False,
) -> "PyDataset":
    """Batches of pairs: two feature matrices (n, D), (n, D) and their truth (n, 1).

    draw: gives an epoch's pairs and truth, see `labeled`.
    fixed: the same pairs in every epoch, to measure on.
    """
    from keras.utils import PyDataset

    class PairBatches(PyDataset):
        def __init__(self):
            super().__init__()
            self.pairs, self.truth = draw()
            self.batch_size = batch_size or training_batch_size(len(self.pairs))

        def on_epoch_end(self):
            if not fixed:
                self.pairs, self.truth = draw()

        def __len__(self) -> int:
            return -(-len(self.pairs) // self.batch_size)

        def __getitem__(self, index: int):
            batch = slice(index * self.batch_size, (index + 1) * self.batch_size)
            first, second = self.pairs[batch].T
            return (matrix[first], matrix[second]), self.truth[batch]

    return PairBatches()


def sample_balanced_rows(labels: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """PHOTOS random rows of each of PEOPLE random people with that many photos, and PEOPLE rows of others.

    Every person is equally likely, however many photos they have. The others are strangers and people with a single
    photo: they add no same-person pairs, but many different faces.
    """
    order = rng.permutation(rows)  # so the rows of each person are shuffled, too
    person = labels[order] - STRANGER_LABEL
    counts = np.bincount(person)
    several = counts >= PHOTOS
    several[0] = False  # strangers
    chosen = rng.permutation(np.flatnonzero(several))[:PEOPLE]
    is_chosen = np.zeros(len(counts), bool)
    is_chosen[chosen] = True
    # Only rows that may be taken are sorted by person: sorting a million for every batch would take most of the time.
    candidates, singles = (_by_person(order[mask[person]], labels) for mask in (is_chosen, ~several))
    starts = np.searchsorted(labels[candidates], chosen + STRANGER_LABEL)
    pairs = np.concatenate([candidates[starts + photo] for photo in range(PHOTOS)])
    return np.concatenate([pairs, rng.permutation(singles)[:PEOPLE]]).astype(np.int32)


def _by_person(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return rows[np.argsort(labels[rows], kind="stable")]


def balanced_batches(
    matrix: Features, labels: np.ndarray, rows: np.ndarray, steps: int, rng: np.random.Generator, fixed: bool = False
) -> "PyDataset":
    """Batches from `sample_balanced_rows`: features (n, D) and their labels int32 (n, 1), `steps` an epoch.

    fixed: the same batches in every epoch, to measure on.
    """
    from keras.utils import PyDataset

    class BalancedBatches(PyDataset):
        def __init__(self):
            super().__init__()
            self.batches = []
            self.draw()

        def draw(self):
            self.batches = [sample_balanced_rows(labels, rows, rng) for _ in range(steps)]

        def on_epoch_end(self):
            if not fixed:
                self.draw()

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int):
            batch = self.batches[index]
            return matrix[batch], labels[batch].astype(np.int32)[:, None]

    return BalancedBatches()


def padded(batches: "PyDataset", multiple: int, label: int | None = None) -> "PyDataset":
    """The same batches, filled up to a multiple of so many rows, for as many devices, with rows that do not count.

    label: of these rows, for a loss that leaves them out by it; None if their weight 0 does.
    """
    from keras.utils import PyDataset

    class PaddedBatches(PyDataset):
        def on_epoch_end(self):
            batches.on_epoch_end()

        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int):
            features, truth = batches[index]
            filling = ((0, -len(truth) % multiple), (0, 0))
            pair = isinstance(features, tuple)
            features = tuple(np.pad(side, filling) for side in features) if pair else np.pad(features, filling)
            if label is not None:
                return features, np.pad(truth, filling, constant_values=label)
            return features, np.pad(truth, filling), np.pad(np.ones(len(truth), np.float32), filling[0])

    return PaddedBatches() if multiple > 1 else batches
