"""Bootstrap over people: resample them, and compute figures of pairs again each time.

People are nearly independent observations, pairs that share a person are not. So people are drawn, and a pair of two
people counts as often as the product of their draws, a pair of the same person as often as that person.
"""

from collections.abc import Iterator

import numpy as np

from utils.metrics import Roc

MAX_DRAWS = 1 << 22  # of people in all resamplings that are computed at once; limits memory
TOP = 4  # times the share of the pairs that is wanted: so many are looked at first


def sample_people(people: np.ndarray, replicates: int, rng: "np.random.Generator") -> tuple[np.ndarray, np.ndarray]:
    """Draw as many people as there are, with replacement, again and again.

    people: int (n, 2), the two people of each pair.
    Returns the columns of the pairs' people, int (n, 2), and how often each was drawn each time, int (r, p).
    """
    columns, count = _columns_of(people)
    return columns, np.reshape([_draw(count, rng) for _ in range(replicates)], (replicates, count))


def people_multiplicities(people: np.ndarray, replicates: int, rng: "np.random.Generator") -> Iterator[np.ndarray]:
    """For each resampling of the people, how often each pair is drawn, int (n,).

    people: int (n, 2), the two people of each pair.
    """
    columns, count = _columns_of(people)
    return (multiplicities(columns, _draw(count, rng)) for _ in range(replicates))


def _columns_of(people: np.ndarray) -> tuple[np.ndarray, int]:
    labels, columns = np.unique(people, return_inverse=True)
    return columns.reshape(people.shape), len(labels)


def _draw(count: int, rng: "np.random.Generator") -> np.ndarray:
    return np.bincount(rng.integers(0, count, count), minlength=count)


def multiplicities(columns: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """How often each pair is drawn, int (n,): the product of the draws of two people, or the draws of the only one."""
    first, second = columns.T
    return np.where(first == second, drawn[first], drawn[first] * drawn[second])


def resampled_tops(
    columns: np.ndarray, weights: np.ndarray, draws: np.ndarray, share: float, at_least: int = 0
) -> Iterator[tuple[np.ndarray, float]]:
    """The running total of the weights of the first pairs, in each resampling, and the weight of all pairs.

    The running total goes on until it exceeds a share of the weight, which spares the rest of a million pairs.

    Args:
        columns, draws: see `sample_people`. The pairs are sorted, the highest score first.
        weights: float (n,).
        share: 0-1.
        at_least: pairs whose running total is needed in any case.
    """
    totals = _drawn_weight(columns, weights, draws.astype(float))
    for drawn, total in zip(draws, totals, strict=True):
        count = max(at_least, int(TOP * share * len(columns)), 1)
        while True:
            running = np.cumsum(multiplicities(columns[:count], drawn) * weights[:count])
            if count >= len(columns) or running[-1] > share * total:
                break
            count *= 4
        yield running, float(total)


def resampled_tars(
    scores: np.ndarray,
    same: np.ndarray,
    weights: np.ndarray,
    people: np.ndarray,
    far: float,
    replicates: int,
    rng: "np.random.Generator",
) -> list[float]:
    """The true accept rate at a false accept rate, 0-1, in each resampling that has pairs of both kinds.

    Equal to `Roc.tar_at` of `resampled_rocs`, from the different pairs with the highest scores alone.
    """
    columns, draws = sample_people(people, replicates, rng)
    order = np.argsort(-scores, kind="stable")
    genuine, impostors = order[same[order]], order[~same[order]]
    tars = []
    share = far + 1e-9  # as in `Roc.tar_at`
    tops = resampled_tops(columns[impostors], weights[impostors], draws, share)
    for drawn, (running, total) in zip(draws, tops, strict=True):
        accepted = np.r_[0, np.cumsum(multiplicities(columns[genuine], drawn) * weights[genuine])]
        if total and accepted[-1]:
            rejected = np.searchsorted(running, share * total, side="right")  # the first one, or one more than all
            limit = -scores[impostors[rejected]] if rejected < len(impostors) else np.inf
            tars.append(float(accepted[np.searchsorted(-scores[genuine], limit)] / accepted[-1]))
    return tars


def resampled_rocs(
    scores: np.ndarray, same: np.ndarray, weights: np.ndarray, multiplicities: Iterator[np.ndarray]
) -> Iterator[Roc]:
    """The curve of each resampling of the people: the same scores, sorted once, with other weights.

    multiplicities: for each resampling, how often each pair was drawn, (n,).
    """
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    thresholds = np.r_[np.inf, scores[order][last_of_score]]
    same, weights = same[order], weights[order]
    for drawn in multiplicities:
        drawn = drawn[order] * weights
        far, tar = (np.r_[0, np.cumsum(np.where(kind, drawn, 0))[last_of_score]] for kind in (~same, same))
        if far[-1] and tar[-1]:
            yield Roc(far / far[-1], tar / tar[-1], thresholds)


def resampled_shares(
    accepted: list[np.ndarray],
    kind: np.ndarray,
    people: np.ndarray,
    weights: np.ndarray,
    replicates: int,
    rng: "np.random.Generator",
) -> list[list[float]]:
    """The share of accepted pairs, by weight, in each resampling.

    Quadratic forms of the draws and a sparse table of people, so that a million pairs take a second or two.

    Args:
        accepted: bool (n,) each, for several thresholds.
        kind: bool (n,), the pairs to count; one kind of pairs, as a rule.
        people: int (n, 2), the two people of each pair, numbers from 0 on.
        weights: float (n,).
        replicates: resamplings.
        rng: random generator.

    Returns, for each of `accepted`, a share for each resampling that has pairs of this kind.
    """
    present = np.bincount(people.ravel()) > 0
    index, count = (np.cumsum(present) - 1)[people], int(present.sum())
    block = max(1, MAX_DRAWS // count)
    shares: list[list[float]] = [[] for _ in accepted]
    for start in range(0, replicates, block):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(block, replicates - start)).astype(float)
        total = _drawn_weight(index[kind], weights[kind], drawn)
        for values, mask in zip(shares, accepted, strict=True):
            part = _drawn_weight(index[mask & kind], weights[mask & kind], drawn)
            values += (part[total > 0] / total[total > 0]).tolist()
    return shares


def _drawn_weight(people: np.ndarray, weights: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The total weight of the pairs in each resampling, float64 (r,).

    people: int (n, 2), columns of `drawn`, float (r, p), which says how often each person was drawn.
    """
    from scipy.sparse import coo_array  # scipy comes with scikit-learn

    first, second = people.T
    same, count = first == second, drawn.shape[1]
    once = drawn @ np.bincount(first[same], weights[same], minlength=count)
    table = coo_array((weights[~same], (first[~same], second[~same])), shape=(count, count)).tocsr()
    return once + np.einsum("rp,pr->r", drawn, table @ drawn.T)


def interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrap replicates; (nan, nan) if there are none."""
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
