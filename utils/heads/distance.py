"""The distance head: Euclidean distance, with constants fitted on other people, for folders too small to train on.

For dlib's extractor only, with and without --flip, because every extractor has its own scale of distances. The
constants come from the 13,233 pictures of 5,749 people in Labeled Faces in the Wild. To find them again from the
features of these pictures, run `python benchmarks/distance_head.py`.
"""

from dataclasses import dataclass

import numpy as np

from utils.cli import InputError
from utils.log_odds import sigmoid


@dataclass(frozen=True)
class DistanceConstants:
    """What the distances of one extractor mean: logit = offset − scale · distance, calibrated at even odds."""

    scale: float
    offset: float
    # False accept rate of a face and a person with five photos → the distance below which the face is accepted,
    # where the distance is the mean of the two nearest photos'.
    distances: dict[float, float]

    def distance_for_far(self, far: float) -> float:
        """The distance below which a share `far` of other people's faces is accepted, interpolated in log(far)."""
        fars = sorted(self.distances)
        return float(np.interp(np.log(max(far, fars[0])), np.log(fars), [self.distances[key] for key in fars]))

    def probability(self, distance: float) -> float:
        """The probability of "same person" at even odds."""
        return float(sigmoid(self.offset - self.scale * distance))


_FARS = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.5)
_DISTANCES = (0.3806, 0.4099, 0.4545, 0.4777, 0.5065, 0.5340, 0.5656, 0.5979, 0.6414, 0.7407)
_FLIP_DISTANCES = (0.3776, 0.4056, 0.4494, 0.4717, 0.5002, 0.5275, 0.5587, 0.5909, 0.6345, 0.7341)
# Fingerprint of the extractor → its constants.
CONSTANTS = {
    "dlib_face_resnet-128-ada3f4c8d0f9c2fd": DistanceConstants(
        38.055, 24.147, dict(zip(_FARS, _DISTANCES, strict=True))
    ),
    "dlib_face_resnet_flip-128-422f4b3bd855a63d": DistanceConstants(
        38.911, 24.325, dict(zip(_FARS, _FLIP_DISTANCES, strict=True))
    ),
}


def constants_of(extractor: str | None) -> DistanceConstants:
    """The constants of an extractor, by its fingerprint. Raises InputError if there are none for it."""
    if extractor not in CONSTANTS:
        raise InputError(
            f"the distance head supports only dlib's extractor ({' and '.join(CONSTANTS)}), but the features are from "
            f"{extractor or 'an unknown extractor'}: train a head on more people"
        )
    return CONSTANTS[extractor]
