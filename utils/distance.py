"""A head for desks with too few people to train on: Euclidean distance, with constants fitted on other people.

For dlib's extractor alone, since distances of another one have another scale. The constants are of all
13,233 pictures of Labeled Faces in the Wild, 5,749 people; `python benchmarks/distance_head.py` finds
them again from the features of those, and prints this table.
"""

import numpy as np

from utils.cli import InputError

EXTRACTOR = "dlib_face_resnet-128-ada3f4c8d0f9c2fd"  # whose distances these are
SCALE, OFFSET = 38.055, 24.147  # logit = OFFSET − SCALE · distance, calibrated at even odds
DISTANCES = {  # false accept rate of one comparison → the distance below which it accepts
    1e-6: 0.3656,
    1e-5: 0.4106,
    1e-4: 0.4591,
    3e-4: 0.4850,
    1e-3: 0.5159,
    3e-3: 0.5457,
    1e-2: 0.5811,
    3e-2: 0.6181,
    0.1: 0.6678,
    0.5: 0.7760,
}


def check_known(extractor: str | None) -> None:
    """Raise InputError for features of another extractor than the constants are of."""
    if extractor != EXTRACTOR:
        raise InputError(
            f"the distance head knows dlib's extractor only ({EXTRACTOR}); the features are of "
            f"{extractor or 'an unknown extractor'}: train a head on more people"
        )


def distance_for_far(far: float) -> float:
    """The distance below which a share `far` of different people's pairs lies, interpolated in log(far)."""
    fars = sorted(DISTANCES)
    return float(np.interp(np.log(max(far, fars[0])), np.log(fars), [DISTANCES[key] for key in fars]))


def probability(distance: float) -> float:
    """Of "same person" at even odds, as the head gives it."""
    return float(1 / (1 + np.exp(SCALE * distance - OFFSET)))
