"""The kind of head chosen for a folder of people."""

from support import gaussian_people

from utils.features.feature_files import FeatureSet
from utils.heads.choice import confused_share, suitable_head
from utils.heads.distance import CONSTANTS

EXTRACTOR = next(iter(CONSTANTS))  # dlib's, without --flip


def test_head_kind_follows_the_people():
    def folder(people, photos, extractor=EXTRACTOR, scale=0.05):
        matrix, labels = gaussian_people(people, photos, dimension=128)
        return FeatureSet(matrix * scale, labels, [str(label) for label in range(people)], extractor)

    assert suitable_head(folder(300, 3), 0.2, 0.001) == ("plda", None)
    assert suitable_head(folder(60, 3), 0.2, 0.02) == ("plda", None)
    assert suitable_head(folder(60, 3, "toy-128-abc"), 0.2, 0.001)[0] == "plda"
    assert suitable_head(folder(10, 3, "toy-128-abc"), 0.2, 0.001)[0] == "dense"
    few = folder(12, 5)
    assert confused_share(few, 0.5065) == 0 and suitable_head(few, 0.2, 0.001)[0] == "distance"
    assert suitable_head(few, 0.9, 0.5)[0] == suitable_head(folder(300, 3), 0.2, 1e-5)[0] == "distance"
    # Drawings, for example, are all nearer than the faces of two people.
    alike = folder(12, 5, scale=0.01)
    assert confused_share(alike, 0.5065) == 1
    kind, reason = suitable_head(alike, 0.2, 0.001)
    assert kind == "dense" and "100% of pairs" in reason
