"""A head for desks with too few people to train on: Euclidean distance, with constants fitted on other people.

For dlib's extractor alone, since distances of another one have another scale. The constants are of the
13,233 pictures of 5,749 people in Labeled Faces in the Wild; `python benchmarks/distance_head.py` finds
them again from the features of those.
"""

import numpy as np

from utils.cli import InputError

EXTRACTOR = "dlib_face_resnet-128-ada3f4c8d0f9c2fd"  # whose distances these are
SCALE, OFFSET = 38.055, 24.147  # logit = OFFSET − SCALE · distance, calibrated at even odds
# False accept rate of a face and a person with five photos → the distance (the mean of the two nearest) below which
# the face is accepted.
DISTANCES = {
    1e-6: 0.3806,
    1e-5: 0.4099,
    1e-4: 0.4545,
    3e-4: 0.4777,
    1e-3: 0.5065,
    3e-3: 0.5340,
    1e-2: 0.5656,
    3e-2: 0.5979,
    0.1: 0.6414,
    0.5: 0.7407,
}


def check_known(extractor: str | None) -> None:
    """Raise InputError for features of another extractor than the constants are of."""
    if extractor != EXTRACTOR:
        raise InputError(
            f"the distance head knows dlib's extractor only ({EXTRACTOR}); the features are of "
            f"{extractor or 'an unknown extractor'}: train a head on more people"
        )


def distance_for_far(far: float) -> float:
    """The distance below which a share `far` of other people's faces is accepted, interpolated in log(far)."""
    fars = sorted(DISTANCES)
    return float(np.interp(np.log(max(far, fars[0])), np.log(fars), [DISTANCES[key] for key in fars]))


def probability(distance: float) -> float:
    """Of "same person" at even odds, as the head gives it."""
    return float(1 / (1 + np.exp(SCALE * distance - OFFSET)))
