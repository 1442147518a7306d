"""Is a learned head better than the plain one? Measured on people and strangers that neither learned from."""

from dataclasses import dataclass

import numpy as np

from utils.bootstrap import interval, people_multiplicities, resampled_rocs, resampled_tars
from utils.cli import counted
from utils.heads.head import Head
from utils.heads.operating_point import MAX_HELD_PHOTOS
from utils.heads.pairs import all_negative_pairs, all_positive_pairs, capped_rows
from utils.metrics import pairs_of_people, roc

MAX_PAIRS = 200_000  # of each kind
REPLICATES = 200  # resamplings of the people
MAX_SCORES = 1 << 22  # of strangers, in memory at once
BLOCK = 1 << 14  # rows of the gallery that are compared with strangers at once


@dataclass(frozen=True)
class Comparison:
    """Two heads on the same people. The names of the fields are the keys in `similarity.json`."""

    figure: str  # which one was compared: "TAR at FAR 0.001", or "AUC" if too few people show that rate
    people: int  # that neither head learned from
    plain: float  # the figure of the plain head
    learned: float  # the figure of the learned head
    gain_interval: tuple[float, float]  # 95 % interval of the difference, from resampling people
    strangers: int  # photos of strangers that neither head learned from
    # The share of their comparisons with these people that is accepted at each head's own threshold; None without any.
    plain_accepts: float | None
    learned_accepts: float | None

    @property
    def prefers_learned(self) -> bool:
        """Whether the learned head is certainly better on these people, and no worse on the strangers, if any."""
        is_better = self.gain_interval[0] > 0
        return is_better and (self.plain_accepts is None or self.learned_accepts <= self.plain_accepts)

    def describe(self, plain: str, learned: str) -> str:
        """The figures in words, for two names of heads."""
        low, high = self.gain_interval
        text = (
            f"on {self.people} held-out people {learned} has {self.figure} {self.learned:.4f} and {plain} "
            f"{self.plain:.4f}, a gain of {self.learned - self.plain:+.4f} [{low:+.4f}, {high:+.4f}]"
        )
        if self.plain_accepts is None:
            return f"{text}; without strangers (_strangers/) it cannot tell whether that holds for other people"
        return (
            f"{text}; of the comparisons with {counted(self.strangers, 'face')} of strangers {learned} accepts "
            f"{self.learned_accepts:.5f} and {plain} {self.plain_accepts:.5f}"
        )


def compare_heads(
    plain: Head,
    learned: Head,
    matrix: np.ndarray,
    labels: np.ndarray,
    held: np.ndarray,
    strangers: np.ndarray,
    far: float,
    rng: np.random.Generator,
) -> Comparison:
    """Measure both heads on people and strangers that neither learned from. Each person's pairs weigh the same.

    Args:
        plain, learned: the heads, with their thresholds.
        matrix, labels: features (n, D) and people (n,).
        held: int (h,), the rows of people that neither learned from.
        strangers: features (m, D).
        far: the false accept rate at which true accept rates are compared.
    """
    rows = held[capped_rows(labels[held], MAX_HELD_PHOTOS, rng)]
    matrix, labels = matrix[rows], labels[rows]
    positive, negative = (draw(labels, MAX_PAIRS, rng) for draw in (all_positive_pairs, all_negative_pairs))
    pairs, same = np.concatenate([positive, negative]), np.arange(len(positive) + len(negative)) < len(positive)
    people = labels[pairs]
    _, person, counts = np.unique(people[same, 0], return_inverse=True, return_counts=True)
    weights = np.r_[1 / counts[person], np.ones(len(negative))]
    number = len(np.unique(labels))
    shows_rate = far * pairs_of_people(number) >= 1  # n pairs of people cannot show a rate below 1 / n

    values, samples, seed = [], [], int(rng.integers(2**32))
    for head in (plain, learned):
        scores, drawing = head.score_rows(matrix, pairs), np.random.default_rng(seed)
        curve = roc(scores, same, weights)
        if shows_rate:
            values.append(curve.tar_at(far))
            samples.append(resampled_tars(scores, same, weights, people, far, REPLICATES, drawing))
        else:
            values.append(curve.auc)
            drawn = people_multiplicities(people, REPLICATES, drawing)
            samples.append([curve.auc for curve in resampled_rocs(scores, same, weights, drawn)])
    return Comparison(
        figure=f"TAR at FAR {far:g}" if shows_rate else "AUC",
        people=number,
        plain=values[0],
        learned=values[1],
        gain_interval=interval(np.subtract(samples[1], samples[0]).tolist()),
        strangers=len(strangers),
        plain_accepts=accepted_share(plain, strangers, matrix),
        learned_accepts=accepted_share(learned, strangers, matrix),
    )


def accepted_share(head: Head, probes: np.ndarray, gallery: np.ndarray) -> float | None:
    """The share of the comparisons of probes (m, D) and a gallery (n, D) that are above the head's threshold.

    None without probes.
    """
    if not len(probes):
        return None
    accepted, step = 0, max(1, MAX_SCORES // BLOCK)
    for block in range(0, len(gallery), BLOCK):
        projected = head.project(gallery[block : block + BLOCK])
        for start in range(0, len(probes), step):
            scores = head.score_projected(head.project(probes[start : start + step]), projected)
            accepted += int((scores > head.threshold).sum())
    return accepted / (len(probes) * len(gallery))
