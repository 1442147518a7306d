"""Plain heads: cosine or Euclidean distance, with constants fitted on other people. Nothing is trained.

Every extractor has its own scale of cosines or distances. The constants below come from the people in Labeled Faces in
the Wild (LFW), from chips of an earlier version. `python benchmarks/plain_head.py` prints them for the features of its
pictures: the scale comes out 1 to 5 % lower, which makes no figure better (docs/research.md).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.cli import InputError
from utils.heads.calibration import fit_logistic
from utils.heads.models import cosine_similarity, distance_similarity
from utils.heads.pairs import STRANGER_LABEL, Features, all_negative_pairs, all_positive_pairs, capped_rows
from utils.log_odds import sigmoid

if TYPE_CHECKING:
    import keras

MAX_PAIRS = 500_000  # of each kind, to fit constants to
BLOCK = 1 << 14  # pairs, or rows, whose features are in memory at once
UNIT_TOLERANCE = 0.01  # of the length of features that count as features of length 1


@dataclass(frozen=True)
class PlainConstants:
    """What an extractor's cosines or distances mean: logit = scale · measure + offset, calibrated at even odds."""

    measure: str  # "cosine" or "distance"
    scale: float  # negative for a distance
    offset: float
    # False accept rate of a face and a person with five photos → the cosine above which, or the distance below which,
    # the face is accepted, where the measure is the mean of the two nearest photos'.
    thresholds: dict[float, float]

    def threshold_for_far(self, far: float) -> float:
        """The cosine or distance at which a share `far` of other people's faces is accepted, linear in log(far)."""
        fars = sorted(self.thresholds)
        return float(np.interp(np.log(max(far, fars[0])), np.log(fars), [self.thresholds[key] for key in fars]))

    def probability(self, value: float) -> float:
        """The probability of "same person" at even odds, of a cosine or distance."""
        return float(sigmoid(self.scale * value + self.offset))


# False accept rates of the thresholds below.
FARS = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.5)


def _constants(measure: str, scale: float, offset: float, thresholds: tuple[float, ...]) -> PlainConstants:
    return PlainConstants(measure, scale, offset, dict(zip(FARS, thresholds, strict=True)))


# Fingerprint of the extractor → its constants. LFW has a few people under two names, who decide the rate 1e-6.
CONSTANTS = {
    "dlib_face_resnet-128-ada3f4c8d0f9c2fd": _constants(
        "distance", -46.573, 28.956, (0.3738, 0.4078, 0.4569, 0.4844, 0.5224, 0.5586, 0.5969, 0.6335, 0.6816, 0.7929)
    ),
    "dlib_face_resnet_flip-128-422f4b3bd855a63d": _constants(
        "distance", -47.766, 28.822, (0.3584, 0.3960, 0.4456, 0.4741, 0.5107, 0.5464, 0.5846, 0.6212, 0.6696, 0.7820)
    ),
    "sface-128-51db54a587e62ca3": _constants(
        "cosine", 36.589, -12.737, (0.5971, 0.4815, 0.4326, 0.4087, 0.3817, 0.3547, 0.3216, 0.2873, 0.2414, 0.1439)
    ),
}
# Cosines of other face networks, which were trained with an angular margin as SFace was, are similar.
TYPICAL = CONSTANTS["sface-128-51db54a587e62ca3"]


def constants_of(extractor: str | None, measure: str) -> PlainConstants | None:
    """The constants of an extractor, by its fingerprint, or None if there are none for this measure.

    Raises InputError for a distance without constants, because distances of no extractor are typical.
    """
    constants = CONSTANTS.get(extractor or "")
    if constants and constants.measure == measure:
        return constants
    if measure == "distance":
        known = [name for name, constants in CONSTANTS.items() if constants.measure == "distance"]
        raise InputError(
            f"the distance head supports only dlib's extractor ({' and '.join(known)}), but the features are from "
            f"{extractor or 'an unknown extractor'}: use --head cosine, or train a head on more people"
        )
    return None


def suitable_measure(extractor: str | None, matrix: np.ndarray) -> str | None:
    """The measure of an extractor's plain head: "cosine" or "distance", or None if only training shows what fits.

    matrix: features of the extractor (n, D). Those of face networks have length 1, or constants in this file.
    """
    if extractor in CONSTANTS:
        return CONSTANTS[extractor].measure
    return "cosine" if have_unit_length(matrix) else None


def have_unit_length(matrix: np.ndarray) -> bool:
    """Whether all features (n, D) have length 1."""
    parts = (matrix[start : start + BLOCK] for start in range(0, len(matrix), BLOCK))
    return all(np.abs(np.linalg.norm(part, axis=1) - 1).max() <= UNIT_TOLERANCE for part in parts)


def measure_pairs(measure: str, matrix: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The cosines or distances, float64 (p,), of pairs of rows, int (p, 2), of features (n, D)."""
    if measure == "cosine":
        matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    values = [np.empty(0)]
    for part in np.array_split(pairs, len(pairs) // BLOCK + 1):  # the features of all pairs may not fit into memory
        a, b = matrix[part[:, 0]], matrix[part[:, 1]]
        values.append((a * b).sum(axis=1) if measure == "cosine" else np.linalg.norm(a - b, axis=1))
    return np.concatenate(values)


def fit_constants(
    measure: str, matrix: Features, labels: np.ndarray, rng: np.random.Generator, max_photos: int = 10
) -> PlainConstants:
    """Scale and offset of a plain head for people of whom several have several photos; without thresholds.

    Args:
        matrix, labels: features (n, D) and people (n,), STRANGER_LABEL for strangers.
        max_photos: of each person.
    """
    people = np.flatnonzero(labels != STRANGER_LABEL)
    rows = np.r_[people[capped_rows(labels[people], max_photos, rng)], np.flatnonzero(labels == STRANGER_LABEL)]
    matrix, labels = matrix[rows], labels[rows]
    pairs = [draw(labels, MAX_PAIRS, rng) for draw in (all_positive_pairs, all_negative_pairs)]
    sign = 1 if measure == "cosine" else -1
    scale, offset = fit_logistic(*(sign * measure_pairs(measure, matrix, part) for part in pairs))
    return PlainConstants(measure, sign * scale, offset, {})


def plain_similarity(dimension: int, constants: PlainConstants) -> "keras.Model":
    """A plain head's Keras model, for features of this dimension."""
    if constants.measure == "cosine":
        return cosine_similarity(dimension, constants.scale, constants.offset)
    return distance_similarity(dimension, -constants.scale, constants.offset)


def plain_rule(constants: PlainConstants, far: float) -> dict:
    """The decision rule of a plain head with these constants at a false accept rate, for `similarity.json`."""
    return {
        "threshold": constants.probability(constants.threshold_for_far(far)),
        "min_votes": None,
        "far": max(far, min(constants.thresholds)),
        "thresholds": [[rate, constants.probability(value)] for rate, value in constants.thresholds.items()],
        "held_out": None,
        "calibration": "constants of other people, see utils/heads/plain.py",
    }
