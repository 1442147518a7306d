"""Training batches: row numbers of a feature matrix, never features, chosen in one of two ways."""

from typing import TYPE_CHECKING

import numpy as np

from utils.heads.pairs import STRANGER_LABEL, negative_pairs, positive_pairs

if TYPE_CHECKING:
    from keras.utils import PyDataset

PEOPLE = 128  # people with several photos in a balanced batch; as many single faces come with them
PHOTOS = 2  # of each of these people


def both_kinds(
    labels: np.ndarray, rows: np.ndarray, negatives: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """All same-person pairs among rows and `negatives` times as many random different-person pairs, int32 (n, 2)."""
    positive = positive_pairs(labels[rows])
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
    labels: np.ndarray, rows: np.ndarray, negatives: float, batch_size: int | None, rng: np.random.Generator
) -> "PyDataset":
    """The original recipe's batches: for every epoch all same-person pairs and new different ones, shuffled."""
    from keras.utils import PyDataset

    class PairBatches(PyDataset):
        def __init__(self):
            super().__init__()
            self.on_epoch_end()
            self.batch_size = batch_size or training_batch_size(len(self.pairs))

        def on_epoch_end(self):
            pairs, truth = labeled(*both_kinds(labels, rows, negatives, rng))
            order = rng.permutation(len(pairs))
            self.pairs, self.truth = pairs[order], truth[order]

        def __len__(self) -> int:
            return -(-len(self.pairs) // self.batch_size)

        def __getitem__(self, index: int):
            batch = slice(index * self.batch_size, (index + 1) * self.batch_size)
            return self.pairs[batch], self.truth[batch]

    return PairBatches()


def sample_balanced_rows(labels: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """PHOTOS random rows of each of PEOPLE random people with that many photos, and PEOPLE rows of others.

    Every person is equally likely, however many photos they have. The others are strangers and people with a single
    photo: they add no same-person pairs, but many different faces.
    """
    order = rng.permutation(rows)
    order = order[np.argsort(labels[order], kind="stable")]
    people, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    several = (counts >= PHOTOS) & (people != STRANGER_LABEL)
    chosen = rng.permutation(starts[several])[:PEOPLE]  # the rows of each person are already shuffled
    pairs = np.concatenate([order[chosen + photo] for photo in range(PHOTOS)])
    singles = order[np.repeat(~several, counts)]
    return np.concatenate([pairs, rng.permutation(singles)[:PEOPLE]]).astype(np.int32)


def balanced_batches(
    labels: np.ndarray, rows: np.ndarray, steps: int, rng: np.random.Generator, fixed: bool = False
) -> "PyDataset":
    """Batches from `sample_balanced_rows`: rows int32 (n,) and their labels int32 (n, 1), `steps` an epoch.

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
            return batch, labels[batch].astype(np.int32)[:, None]

    return BalancedBatches()
