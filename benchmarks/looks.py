"""What several observations of a face are worth: names from six photos together, compared with each photo alone.

  python benchmarks/looks.py --features others_features --classification models/similarity

Each gallery has six people, enrolled with two photos each, drawn from the people with at least eight photos. The
probes are six other photos of each of them and of thirty strangers. Some of the people may have been used to train
the head, so the figures compare two rules and predict nothing.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import bounded, clean_exit, file_path, script_parser

if TYPE_CHECKING:
    import numpy as np

    from utils.features.feature_files import FeatureSet
    from utils.heads.head import Head
    from utils.recognition.gallery import Gallery

PEOPLE, PHOTOS, OBSERVATIONS, STRANGERS = 6, 2, 6, 30  # per gallery
SECONDS_BETWEEN = 0.5  # observations


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="features of many people")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    parser.add_argument("--galleries", "--desks", type=bounded(int, 1), default=40, help="number of galleries to draw")
    parser.add_argument("--seed", type=bounded(int, 0), default=0, help="another number draws other galleries")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import numpy as np

    from utils.features.feature_files import load_features
    from utils.heads.head import load_head

    features, head = load_features(args.features), load_head(args.classification)
    rng = np.random.default_rng(args.seed)
    count = Counter()
    for _ in range(args.galleries):
        count += count_names(features, head, rng)
    for kind, success in (("enrolled", "named right"), ("stranger", "named")):
        total = count[kind]
        single = count[kind, "single"] / (total * OBSERVATIONS)
        any_single, last, ever = (count[kind, when] / total for when in ("any", "last", "ever"))
        print(
            f"{total} {kind} faces {success}: single photos {single:.2%}, at least one of {OBSERVATIONS} photos "
            f"{any_single:.2%}; after {OBSERVATIONS} observations {last:.2%} (at any time {ever:.2%})"
        )
    return 0


def count_names(features: "FeatureSet", head: "Head", rng: "np.random.Generator") -> Counter:
    """Draw one gallery and count its enrolled people and strangers, and how many were named by which rule."""
    import numpy as np

    from utils.features.feature_files import FeatureSet
    from utils.recognition.gallery import Gallery

    candidates = np.flatnonzero(np.bincount(features.labels) >= PHOTOS + OBSERVATIONS)
    people = rng.choice(candidates, PEOPLE + STRANGERS, replace=False)
    photos = [rng.permutation(np.flatnonzero(features.labels == person)) for person in people]
    rows = np.concatenate([photos_of_one[:PHOTOS] for photos_of_one in photos[:PEOPLE]])
    names = [str(person) for person in people[:PEOPLE]]
    labels = np.repeat(np.arange(PEOPLE), PHOTOS)
    enrolled = FeatureSet(features.matrix[rows], labels, names, features.extractor)
    gallery = Gallery(enrolled, head, None, head.min_votes)
    count = Counter()
    for person, photos_of_one in zip(people, photos, strict=True):
        own_name = str(person) if str(person) in names else None
        kind = "enrolled" if own_name else "stranger"
        probes = features.matrix[photos_of_one[PHOTOS : PHOTOS + OBSERVATIONS]]
        # An enrolled person must get the right name; for a stranger any name counts.
        single, together = (
            [name == own_name if own_name else name is not None for name in given]
            for given in (names_alone(probes, gallery), names_of_track(probes, gallery))
        )
        count[kind] += 1
        count[kind, "single"] += sum(single)
        count[kind, "any"] += any(single)
        count[kind, "last"] += together[-1]
        count[kind, "ever"] += any(together)
    return count


def names_alone(probes: "np.ndarray", gallery: "Gallery") -> list[str | None]:
    """The name each embedding of a face, (n, D), gets alone."""
    return [gallery.decide(scores[None])[0].name for scores in gallery.scores(probes)]


def names_of_track(probes: "np.ndarray", gallery: "Gallery") -> list[str | None]:
    """The name of a track after each of its observations, the embeddings (n, D) of a face."""
    import numpy as np

    from utils.recognition.naming import add_observation, update_names
    from utils.recognition.tracks import Observation, Track

    track, names = Track(1, None, np.zeros(4), 0.0), []
    for index, (embedding, scores) in enumerate(zip(probes, gallery.scores(probes), strict=True)):
        add_observation(track, Observation(embedding, scores, 0.5, index * SECONDS_BETWEEN), gallery)
        update_names([track], gallery)
        names.append(track.name)
    return names


if __name__ == "__main__":
    sys.exit(main())
