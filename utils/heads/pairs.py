"""Pairs of faces as index pairs into a feature matrix; the features themselves are never copied."""

import numpy as np

STRANGER_LABEL = (
    -1
)  # the label of strangers: two of them may be one person or two, so they make no pair with each other


def positive_pairs(labels: np.ndarray) -> np.ndarray:
    """Every face with every other face of its person, int32 (p, 2), each pair once.

    labels: int (n,), the person of each row; those of strangers make no pair.
    """
    order = np.argsort(labels, kind="stable")
    people, counts = np.unique(labels, return_counts=True)
    pairs = [np.empty((0, 2), int)]
    for person, rows in zip(people, np.split(order, np.cumsum(counts)[:-1]), strict=True):
        if person != STRANGER_LABEL:
            first, second = np.triu_indices(len(rows), k=1)
            pairs.append(np.stack([rows[first], rows[second]], axis=1))
    return np.concatenate(pairs).astype(np.int32)


def negative_pairs(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` pairs of different people drawn at random with replacement, int32 (count, 2).

    Raises ValueError when all rows are one person's.
    """
    labels = np.asarray(labels)
    if len(np.unique(labels)) < 2:
        raise ValueError("negative pairs need two people. Received: one")
    pairs = np.empty((0, 2), np.int32)
    while len(pairs) < count:
        drawn = rng.integers(0, len(labels), size=(2 * (count - len(pairs)) + 16, 2), dtype=np.int32)
        pairs = np.concatenate([pairs, drawn[labels[drawn[:, 0]] != labels[drawn[:, 1]]]])
    return pairs[:count]


def all_negative_pairs(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Every pair of faces of different people, int32 (q, 2), or `most` random ones where there are more."""
    labels = np.asarray(labels)
    counts = np.unique(labels, return_counts=True)[1]
    total = (len(labels) ** 2 - int((counts.astype(np.int64) ** 2).sum())) // 2
    if total > most:
        return negative_pairs(labels, most, rng)
    first, second = np.triu_indices(len(labels), k=1)
    different = labels[first] != labels[second]
    return np.stack([first[different], second[different]], axis=1).astype(np.int32)


def capped_rows(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Rows, ascending, with `most` random ones of each person who has more: who has 500 photos is one person too."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.unique(labels, return_counts=True)[1]
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # among the person's rows
    return np.sort(order[place < most])


def split_people(
    labels: np.ndarray, share: float, min_people: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows by person into training and held-out rows, two int arrays; no person is in both.

    `share` of the people are held out, two at least, so that there are impostor pairs, and among them
    two with several images; two of those are left for training. Nobody is held out where fewer than
    `min_people`, or four, have several images.
    """
    people, counts = np.unique(labels, return_counts=True)
    several, single = people[counts > 1], people[counts == 1]
    if share == 0 or len(several) < max(min_people, 4):
        return np.arange(len(labels)), np.arange(0)
    # Both kinds of people in the same share, since only several images make positive pairs.
    held = np.concatenate(
        [
            rng.permutation(several)[: min(max(2, round(share * len(several))), len(several) - 2)],
            rng.permutation(single)[: round(share * len(single))],
        ]
    )
    is_held = np.isin(labels, held)
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
