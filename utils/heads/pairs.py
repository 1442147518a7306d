"""Pairs of faces as pairs of row numbers of a feature matrix; the features themselves are never copied."""

import numpy as np

# Generators are quoted in annotations: NumPy takes 15 ms to load them when they are first named.

# The label of strangers. They make no pairs with each other: two of them may be the same person.
STRANGER_LABEL = -1
PADDING_LABEL = -2  # of rows that only fill up a batch
MAX_PEOPLE = 20_000  # to calibrate and measure on; with ten photos of each their 128 features take 100 MB


class StackedRows:
    """Two feature matrices, float32 (n, D) and (m, D), as one to take rows from; both may be memory-mapped."""

    def __init__(self, first: np.ndarray, second: np.ndarray):
        self.first, self.second = first, second
        self.shape = len(first) + len(second), first.shape[1]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Rows, int (r,), of the first matrix and, from n on, of the second: float32 (r, D)."""
        beyond = rows >= len(self.first)
        taken = np.empty((len(rows), self.shape[1]), np.float32)
        taken[~beyond], taken[beyond] = self.first[rows[~beyond]], self.second[rows[beyond] - len(self.first)]
        return taken


Features = np.ndarray | StackedRows  # (n, D), from which only the rows that are needed are taken


def positive_pairs(labels: np.ndarray) -> np.ndarray:
    """Every pair of faces of the same person, int32 (p, 2), each once.

    labels: int (n,), the person of each row; strangers make no pairs.
    """
    order = np.argsort(labels, kind="stable")
    people, counts = np.unique(labels, return_counts=True)
    pairs = [np.empty((0, 2), int)]
    for person, rows in zip(people, np.split(order, np.cumsum(counts)[:-1]), strict=True):
        if person != STRANGER_LABEL:
            first, second = np.triu_indices(len(rows), k=1)
            pairs.append(np.stack([rows[first], rows[second]], axis=1))
    return np.concatenate(pairs).astype(np.int32)


def all_positive_pairs(labels: np.ndarray, max_pairs: int, rng: "np.random.Generator") -> np.ndarray:
    """Every pair of faces of the same person, int32 (p, 2), or `max_pairs` random ones if there are more."""
    order = np.argsort(labels, kind="stable")
    people, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    counts = np.where(people == STRANGER_LABEL, 0, counts)
    pairs = np.cumsum(counts * (counts - 1) // 2)
    if pairs[-1] <= max_pairs:
        return positive_pairs(labels)
    person = np.searchsorted(pairs, rng.integers(0, pairs[-1], max_pairs), side="right")
    first = rng.integers(0, counts[person])
    second = (first + rng.integers(1, counts[person])) % counts[person]
    return order[starts[person, None] + np.stack([first, second], axis=1)].astype(np.int32)


def negative_pairs(labels: np.ndarray, count: int, rng: "np.random.Generator") -> np.ndarray:
    """`count` random pairs of different people, drawn with replacement, int32 (count, 2).

    Raises ValueError if all rows have the same label.
    """
    labels = np.asarray(labels)
    if len(np.unique(labels)) < 2:
        raise ValueError("negative pairs need two people. Received: one")
    pairs = np.empty((0, 2), np.int32)
    while len(pairs) < count:
        drawn = rng.integers(0, len(labels), size=(2 * (count - len(pairs)) + 16, 2), dtype=np.int32)
        pairs = np.concatenate([pairs, drawn[labels[drawn[:, 0]] != labels[drawn[:, 1]]]])
    return pairs[:count]


def all_negative_pairs(labels: np.ndarray, max_pairs: int, rng: "np.random.Generator") -> np.ndarray:
    """All pairs of faces of different people, int32 (q, 2), or `max_pairs` random ones if there are more."""
    labels = np.asarray(labels)
    counts = np.unique(labels, return_counts=True)[1]
    total = (len(labels) ** 2 - int((counts.astype(np.int64) ** 2).sum())) // 2
    if total > max_pairs:
        return negative_pairs(labels, max_pairs, rng)
    first, second = np.triu_indices(len(labels), k=1)
    different = labels[first] != labels[second]
    return np.stack([first[different], second[different]], axis=1).astype(np.int32)


def capped_rows(
    labels: np.ndarray, max_rows: int, rng: "np.random.Generator", max_people: int = MAX_PEOPLE
) -> np.ndarray:
    """Row numbers, ascending: all rows of each person, or `max_rows` random ones of a person with more.

    Of more than `max_people` people, that many random ones.
    """
    people, order = np.unique(labels), np.arange(len(labels))
    if len(people) > max_people:
        order = np.flatnonzero(np.isin(labels, rng.permutation(people)[:max_people]))
    order = rng.permutation(order)
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.unique(labels[order], return_counts=True)[1]
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)  # among the person's rows
    return np.sort(order[rank < max_rows])


def split_people(
    labels: np.ndarray, share: float, min_people: int, rng: "np.random.Generator"
) -> tuple[np.ndarray, np.ndarray]:
    """Split people into training and held-out people: two int arrays of rows, with no person in both.

    A share of the people is held out: at least two people with several images, for pairs of both kinds, and at least
    two more such people are left for training.

    Args:
        labels: int (n,), the person of each row.
        share: of the people to hold out, 0-1.
        min_people: with fewer people with several images than this, or than four, nobody is held out.
    """
    people, counts = np.unique(labels, return_counts=True)
    several, single = people[counts > 1], people[counts == 1]
    if share == 0 or len(several) < max(min_people, 4):
        return np.arange(len(labels)), np.arange(0)
    # The same share of people with several images and of people with one: only the former make same-person pairs.
    held = np.concatenate(
        [
            rng.permutation(several)[: min(max(2, round(share * len(several))), len(several) - 2)],
            rng.permutation(single)[: round(share * len(single))],
        ]
    )
    is_held = np.isin(labels, held)
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
