"""Fit the constants of utils/heads/distance.py on the features of many people, and see whom a desk of one lets in.

  python extract_features.py --faces_path lfw --model_path models/dlib --features lfw_features --align 1
  python benchmarks/distance_head.py --features_path lfw_features

Scale and offset of the logit come from pairs of photos. The distance for each false accept rate comes from
desks: a person with five photos is enrolled, all others come by, and test.py's rule takes the mean of the
two nearest. Half of the desks choose a distance and the other half tell its rate; the printed table is of all.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import bounded, clean_exit, file_path, script_parser

RATES = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.5)
PHOTOS = 5  # of the one person


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument("--far", type=bounded(float, 1e-6, 0.5), default=0.001, help="that train.py is asked for")
    parser.add_argument("--seed", type=bounded(int, 0), default=0, help="same seed, same result")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import numpy as np

    from utils.features.feature_files import load_features
    from utils.heads.calibration import fit_logistic

    features = load_features(args.features_path)
    rng = np.random.default_rng(args.seed)
    print(f"{len(features.names)} people, {len(features.matrix)} faces of {features.extractor}")
    same, different = pair_distances(features, rng)
    print(f"{len(same)} same and {len(different)} different pairs, {PHOTOS} photos at most of each person")
    scale, offset = fit_logistic(-same, -different)
    print(f"scale, offset = {scale:.3f}, {offset:.3f}")
    desks = desk_distances(features, rng)
    print(f"{len(desks)} desks of a person with {PHOTOS} photos each, {desks[0].size} faces or so of others come by")
    everybody = np.concatenate(desks)
    for rate in RATES:
        distance = np.quantile(everybody, rate)
        print(f"    {rate:g}: {distance:.4f},  # accepts {np.mean(same < distance):.3f} of the same pairs")
    halves = [desks[::2], desks[1::2]]
    for number, (fitted, measured) in enumerate((halves, halves[::-1]), start=1):
        distance = np.quantile(np.concatenate(fitted), args.far)
        accepted = np.array([(desk < distance).mean() for desk in measured])
        drawn = rng.integers(0, len(accepted), (1000, len(accepted)))
        low, high = np.percentile(accepted[drawn].mean(axis=1), (2.5, 97.5))
        print(
            f"half {number} chooses {distance:.4f} for {args.far:g}; the other's desks accept {accepted.mean():.5f} "
            f"(95% within {low:.5f}-{high:.5f}), median desk {np.median(accepted):.5f}, worst {accepted.max():.5f}"
        )
    return 0


def pair_distances(features, rng):
    """Distances of all same and different pairs among PHOTOS random photos of each person, two float32 arrays."""
    import numpy as np

    from utils.heads.pairs import capped_rows, positive_pairs

    rows = capped_rows(features.labels, PHOTOS, rng)
    matrix, labels = features.matrix[rows], features.labels[rows]
    pairs = positive_pairs(labels)
    same = np.linalg.norm(matrix[pairs[:, 0]] - matrix[pairs[:, 1]], axis=1)
    different = []
    for row in range(len(matrix) - 1):
        others = row + 1 + np.flatnonzero(labels[row + 1 :] != labels[row])
        different.append(np.linalg.norm(matrix[others] - matrix[row], axis=1))
    return same, np.concatenate(different)


def desk_distances(features, rng) -> list:
    """For each person enrolled with PHOTOS photos: the mean distance of others' faces to their BEST_IMAGES nearest."""
    import numpy as np

    from utils.heads.pairs import capped_rows
    from utils.recognition.gallery import BEST_IMAGES

    visitors = capped_rows(features.labels, PHOTOS, rng)
    desks = []
    for person in rng.permutation(np.flatnonzero(np.bincount(features.labels) >= PHOTOS)):
        own = rng.permutation(np.flatnonzero(features.labels == person))[:PHOTOS]
        others = features.matrix[visitors[features.labels[visitors] != person]]
        distances = np.linalg.norm(others[:, None] - features.matrix[own], axis=2)
        desks.append(np.sort(distances, axis=1)[:, :BEST_IMAGES].mean(axis=1))
    return desks


if __name__ == "__main__":
    sys.exit(main())
