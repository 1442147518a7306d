"""How far exported networks are from Keras. Beyond a tolerance an export is refused."""

from dataclasses import dataclass

import numpy as np

from utils.cli import InputError, counted

# The most that the features of a face may move on average, as a share of their length. SFace's move by 1e-6, 1e-3 and
# 0.1 on LFW (docs/deployment.md); a wrong conversion moves them by about 1.
MAX_MOVED = {"float32": 1e-4, "float16": 1e-2, "int8": 0.3}
MAX_PROBABILITY_DIFFERENCE = 1e-3  # of a head, on the same features


@dataclass(frozen=True)
class FeatureParity:
    """Exported features compared with Keras'. The names of the fields are keys in the description."""

    faces: int  # compared
    drawn: bool  # whether they are drawn ones
    max_difference: float  # of a feature
    mean_moved: float  # length of the difference of two feature vectors, as a share of the length of Keras'
    mean_cosine: float  # between the exported features of a face and Keras'
    min_cosine: float

    def describe(self) -> str:
        """The figures in words."""
        kind = "drawn face" if self.drawn else "face"
        return (
            f"on {counted(self.faces, kind)} its features differ from Keras' by {self.max_difference:.1e} at most; "
            f"the cosine between them is {self.mean_cosine:.6f} on average and {self.min_cosine:.6f} at least"
        )


def compare_features(expected: np.ndarray, exported: np.ndarray, drawn: bool) -> FeatureParity:
    """Compare the features (n, D) of n faces by Keras with those of an exported extractor."""
    expected, exported = expected.astype(np.float64), exported.astype(np.float64)
    lengths, exported_lengths = (np.maximum(np.linalg.norm(matrix, axis=1), 1e-30) for matrix in (expected, exported))
    cosines = (expected * exported).sum(1) / lengths / exported_lengths
    return FeatureParity(
        faces=len(expected),
        drawn=drawn,
        max_difference=float(np.abs(expected - exported).max()),
        mean_moved=float((np.linalg.norm(expected - exported, axis=1) / lengths).mean()),
        mean_cosine=float(cosines.mean()),
        min_cosine=float(cosines.min()),
    )


def check_features(parity: FeatureParity, precision: str) -> None:
    """Raises InputError if features moved more than a precision may move them."""
    limit = MAX_MOVED[precision]
    if not parity.mean_moved <= limit:  # not a number is refused, too
        raise InputError(
            f"the exported extractor is refused: {parity.describe()}; {precision} may move features by {limit:g} of "
            f"their length on average, and they moved by {parity.mean_moved:.2g}"
        )


def check_probabilities(difference: float) -> None:
    """Raises InputError if the probabilities of a head differ by more than rounding makes them."""
    if not difference <= MAX_PROBABILITY_DIFFERENCE:
        raise InputError(
            f"the exported head is refused: its probabilities differ from Keras' by {difference:.2g}, more than "
            f"{MAX_PROBABILITY_DIFFERENCE:g}"
        )
