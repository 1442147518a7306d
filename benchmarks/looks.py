"""What several looks at a face are worth: names given over six photos, beside names given by each alone.

  python benchmarks/looks.py --features others_features --classification models/similarity

Desks of six people with two photos each, drawn from the people with eight photos or more, and before
each thirty strangers and the six themselves, by six other photos. People whom the head was trained on
are among them, so the figures compare two rules and are no forecast.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import bounded, clean_exit, file_path, script_parser

PEOPLE, PHOTOS, LOOKS, STRANGERS = 6, 2, 6, 30  # of each desk
GAP = 0.5  # seconds between two looks


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="features of many people")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    parser.add_argument("--desks", type=bounded(int, 1), default=40, help="how many desks")
    parser.add_argument("--seed", type=bounded(int, 0), default=0, help="another number draws other desks")
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
    for _ in range(args.desks):
        count += desk(features, head, rng)
    for who, right in (("own", "named right"), ("stranger", "named")):
        total = count[who]
        print(
            f"{total} {who} faces {right}: single photos {count[who, 'single'] / (total * LOOKS):.2%}, by one at least "
            f"of {LOOKS} {count[who, 'any'] / total:.2%}; over {LOOKS} looks {count[who, 'last'] / total:.2%} "
            f"(at any time {count[who, 'ever'] / total:.2%})"
        )
    return 0


def desk(features, head, rng) -> Counter:
    """One desk: how many of its own people and of strangers were named, and by which rule."""
    import numpy as np

    from utils.features.feature_files import FeatureSet
    from utils.recognition.gallery import Gallery

    known = np.flatnonzero(np.bincount(features.labels) >= PHOTOS + LOOKS)
    people = rng.choice(known, PEOPLE + STRANGERS, replace=False)
    rows = [rng.permutation(np.flatnonzero(features.labels == person)) for person in people]
    enrolled = np.concatenate([each[:PHOTOS] for each in rows[:PEOPLE]])
    names = [str(person) for person in people[:PEOPLE]]
    labels = np.repeat(np.arange(PEOPLE), PHOTOS)
    stored = FeatureSet(features.matrix[enrolled], labels, names, features.extractor)
    gallery = Gallery(stored, head, None, head.min_votes)
    count = Counter()
    for person, own in zip(people, rows, strict=True):
        who = "own" if str(person) in names else "stranger"
        single, over = look(features.matrix[own[PHOTOS : PHOTOS + LOOKS]], gallery)
        hit = (lambda name, n=str(person): name == n) if who == "own" else (lambda name: name is not None)
        count[who] += 1
        count[who, "single"] += sum(map(hit, single))
        count[who, "any"] += any(map(hit, single))
        count[who, "last"] += hit(over[-1])
        count[who, "ever"] += any(map(hit, over))
    return count


def look(embeddings, gallery) -> tuple[list, list]:
    """The names that a face's embeddings (LOOKS, D) get, each alone, and after each look of a track."""
    import numpy as np

    from utils.recognition.naming import add_observation, update_names
    from utils.recognition.tracks import Observation, Track

    scores = gallery.scores(embeddings)
    single = [gallery.decide(row[None])[0].name for row in scores]
    track, over = Track(1, None, np.zeros(4), 0.0), []
    for number, (embedding, row) in enumerate(zip(embeddings, scores, strict=True)):
        add_observation(track, Observation(embedding, row, 0.5, number * GAP), gallery)
        update_names([track], gallery)
        over.append(track.name)
    return single, over


if __name__ == "__main__":
    sys.exit(main())
