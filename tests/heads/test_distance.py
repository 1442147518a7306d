"""The constants of the distance head."""

from utils.features.backbones import build_extractor
from utils.features.extractor import load_extractor, model_fingerprint
from utils.heads.distance import CONSTANTS


def test_constants_are_for_the_extractors_of_network_py(extractor_path):
    flipped = model_fingerprint(build_extractor("dlib", None, "avg", None, "pretrained", flip=True))
    assert [load_extractor(extractor_path).fingerprint, flipped] == list(CONSTANTS)
    for constants in CONSTANTS.values():
        distances = constants.distances
        assert [distances[rate] for rate in sorted(distances)] == sorted(distances.values())
        assert constants.distance_for_far(0.001) == distances[1e-3]
        assert constants.distance_for_far(1e-9) == distances[1e-6]
        assert constants.probability(0.4) > 0.99 and constants.probability(0.9) < 0.01
