"""Fit the constants of utils/heads/distance.py on the features of many people, and check their false accept rate.

  python extract_features.py --faces_path lfw --model_path models/dlib --features lfw_features --align 1
  python benchmarks/distance_head.py --features_path lfw_features

Scale and offset of the logit are fitted to pairs of photos. The distances for the false accept rates come from
galleries with one enrolled person, who has five photos, and with everyone else as a stranger; as in test.py, a
stranger's distance is the mean of the two nearest photos'. To check them, a distance chosen on half of the galleries
is measured on the other half. The printed table is from all galleries.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import bounded, clean_exit, file_path, script_parser

if TYPE_CHECKING:
    import numpy as np

    from utils.features.feature_files import FeatureSet

RATES = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.5)
PHOTOS = 5  # of the enrolled person


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument(
        "--far", type=bounded(float, 1e-6, 0.5), default=0.001, help="false accept rate to check, 0.000001-0.5"
    )
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
    print(f"{len(features.names)} people, {len(features.matrix)} faces, features of {features.extractor}")
    same, different = pair_distances(features, rng)
    print(f"{len(same)} same and {len(different)} different pairs, at most {PHOTOS} photos of each person")
    scale, offset = fit_logistic(-same, -different)
    print(f"scale, offset = {scale:.3f}, {offset:.3f}")
    galleries = stranger_distances(features, rng)
    print(f"{len(galleries)} galleries of one person with {PHOTOS} photos, about {galleries[0].size} strangers each")
    distances = np.concatenate(galleries)
    for rate in RATES:
        distance = np.quantile(distances, rate)
        print(f"    {rate:g}: {distance:.4f},  # accepts {np.mean(same < distance):.3f} of the same pairs")
    halves = [galleries[::2], galleries[1::2]]
    for half, (fitted, measured) in enumerate((halves, halves[::-1]), start=1):
        distance = np.quantile(np.concatenate(fitted), args.far)
        accepted = np.array([(gallery < distance).mean() for gallery in measured])
        drawn = rng.integers(0, len(accepted), (1000, len(accepted)))
        low, high = np.percentile(accepted[drawn].mean(axis=1), (2.5, 97.5))
        print(
            f"half {half} chooses {distance:.4f} for {args.far:g}; the other half's galleries accept "
            f"{accepted.mean():.5f} (95% interval {low:.5f}-{high:.5f}), median {np.median(accepted):.5f}, "
            f"worst {accepted.max():.5f}"
        )
    return 0


def pair_distances(features: "FeatureSet", rng: "np.random.Generator") -> tuple["np.ndarray", "np.ndarray"]:
    """Distances, float32 (p,) and (q,), of all same and all different pairs of PHOTOS random photos of each person."""
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


def stranger_distances(features: "FeatureSet", rng: "np.random.Generator") -> list["np.ndarray"]:
    """For each person with PHOTOS photos, the distances of other people's faces: the mean of the nearest photos'."""
    import numpy as np

    from utils.heads.pairs import capped_rows
    from utils.recognition.gallery import BEST_IMAGES

    probes = capped_rows(features.labels, PHOTOS, rng)
    galleries = []
    for person in rng.permutation(np.flatnonzero(np.bincount(features.labels) >= PHOTOS)):
        enrolled = rng.permutation(np.flatnonzero(features.labels == person))[:PHOTOS]
        strangers = features.matrix[probes[features.labels[probes] != person]]
        distances = np.linalg.norm(strangers[:, None] - features.matrix[enrolled], axis=2)
        galleries.append(np.sort(distances, axis=1)[:, :BEST_IMAGES].mean(axis=1))
    return galleries


if __name__ == "__main__":
    sys.exit(main())
