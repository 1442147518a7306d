"""Fit the constants of utils/distance.py on the features of many people, and see whom a desk of one would let in.

  python extract_features.py --faces_path lfw --model_path models/dlib --features lfw_features --align 1
  python benchmarks/distance_head.py --features_path lfw_features

Prints scale and offset of the head's logit, the distance for each false accept rate, and, for single
people with five photos enrolled by turns, the share of all others who get their name.
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
    parser.add_argument("--desks", type=bounded(int, 1), default=100, help="people who are enrolled alone, by turns")
    parser.add_argument("--seed", type=bounded(int, 0), default=0, help="same seed, same result")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import numpy as np

    from utils.calibration import fit_logistic
    from utils.features import load_features

    features = load_features(args.features_path)
    rng = np.random.default_rng(args.seed)
    print(f"{len(features.names)} people, {len(features.matrix)} faces of {features.extractor}")
    same, different = pair_distances(features, rng)
    print(f"{len(same)} same and {len(different)} different pairs, {PHOTOS} photos at most of each person")
    scale, offset = fit_logistic(-same, -different)
    print(f"SCALE, OFFSET = {scale:.3f}, {offset:.3f}")
    for rate in RATES:
        distance = np.quantile(different, rate)
        print(f"    {rate:g}: {distance:.4f},  # accepts {np.mean(same < distance):.3f} of the same pairs")
    return 0


def pair_distances(features, rng):
    """Distances of all same and different pairs among PHOTOS random photos of each person, two float32 arrays."""
    import numpy as np

    from utils.pairs import capped_rows, positive_pairs

    rows = capped_rows(features.labels, PHOTOS, rng)
    matrix, labels = features.matrix[rows], features.labels[rows]
    pairs = positive_pairs(labels)
    same = np.linalg.norm(matrix[pairs[:, 0]] - matrix[pairs[:, 1]], axis=1)
    different = []
    for row in range(len(matrix) - 1):
        others = row + 1 + np.flatnonzero(labels[row + 1 :] != labels[row])
        different.append(np.linalg.norm(matrix[others] - matrix[row], axis=1))
    return same, np.concatenate(different)


if __name__ == "__main__":
    sys.exit(main())
