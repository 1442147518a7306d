"""A head for desks with too few people to train on: Euclidean distance, with constants fitted on other people.

For dlib's extractor alone, with and without --flip, since distances of another one have another scale. The
constants are of the 13,233 pictures of 5,749 people in Labeled Faces in the Wild;
`python benchmarks/distance_head.py` finds them again from the features of those.
"""

from dataclasses import dataclass

import numpy as np

from utils.cli import InputError


@dataclass(frozen=True)
class DistanceConstants:
    """What distances of one extractor mean: logit = offset − scale · distance, calibrated at even odds.

    distances: false accept rate of a face and a person with five photos → the distance (the mean of the two
    nearest) below which the face is accepted.
    """

    scale: float
    offset: float
    distances: dict[float, float]

    def distance_for_far(self, far: float) -> float:
        """The distance below which a share `far` of other people's faces is accepted, interpolated in log(far)."""
        fars = sorted(self.distances)
        return float(np.interp(np.log(max(far, fars[0])), np.log(fars), [self.distances[key] for key in fars]))

    def probability(self, distance: float) -> float:
        """Of "same person" at even odds, as the head gives it."""
        return float(1 / (1 + np.exp(self.scale * distance - self.offset)))


_FARS = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.5)
_DISTANCES = (0.3806, 0.4099, 0.4545, 0.4777, 0.5065, 0.5340, 0.5656, 0.5979, 0.6414, 0.7407)
_FLIP_DISTANCES = (0.3776, 0.4056, 0.4494, 0.4717, 0.5002, 0.5275, 0.5587, 0.5909, 0.6345, 0.7341)
# By the fingerprint of the extractor whose distances they are.
CONSTANTS = {
    "dlib_face_resnet-128-ada3f4c8d0f9c2fd": DistanceConstants(
        38.055, 24.147, dict(zip(_FARS, _DISTANCES, strict=True))
    ),
    "dlib_face_resnet_flip-128-422f4b3bd855a63d": DistanceConstants(
        38.911, 24.325, dict(zip(_FARS, _FLIP_DISTANCES, strict=True))
    ),
}


def constants_of(extractor: str | None) -> DistanceConstants:
    """The constants of an extractor, by its fingerprint. Raises InputError for one whose distances are not known."""
    if extractor not in CONSTANTS:
        raise InputError(
            f"the distance head knows dlib's extractor only ({' and '.join(CONSTANTS)}); the features are of "
            f"{extractor or 'an unknown extractor'}: train a head on more people"
        )
    return CONSTANTS[extractor]
