"""Fit the constants of utils/heads/plain.py on the features of many people, and check their false accept rate.

  python extract_features.py --faces_path lfw --model_path models/sface --features lfw_features --align 1
  python benchmarks/plain_head.py --features_path lfw_features

Scale and offset of the logit are fitted to pairs of photos. The thresholds for the false accept rates come from
galleries with one enrolled person, who has five photos, and with everyone else as a stranger; as in test.py, a
stranger's cosine or distance is the mean of the two nearest photos'. To check them, a threshold chosen on half of the
galleries is measured on the other half. The printed constants are from all galleries, ready to be pasted.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import bounded, clean_exit, file_path, script_parser
from utils.heads.options import PLAIN_KINDS

if TYPE_CHECKING:
    import numpy as np

    from utils.features.feature_files import FeatureSet

PHOTOS = 5  # of the enrolled person


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument(
        "--measure", choices=PLAIN_KINDS, help="default: the extractor's, or cosine if it has no constants yet"
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
    from utils.heads.plain import FARS, fit_constants, suitable_measure

    features = load_features(args.features_path)
    rng = np.random.default_rng(args.seed)
    measure = args.measure or suitable_measure(features.extractor, features.matrix) or "cosine"
    nearness = 1 if measure == "cosine" else -1  # times the measure: higher is nearer
    print(f"{len(features.names)} people, {len(features.matrix)} faces, features of {features.extractor}")
    constants = fit_constants(measure, features.matrix, features.labels, rng, max_photos=PHOTOS)
    same = nearness * same_pairs(measure, features, rng)
    galleries = [nearness * part for part in stranger_measures(measure, features, rng)]
    print(f"{len(galleries)} galleries of one person with {PHOTOS} photos, about {galleries[0].size} strangers each")
    thresholds = np.quantile(np.concatenate(galleries), [1 - far for far in FARS])
    for far, threshold in zip(FARS, thresholds, strict=True):
        print(
            f"  {far:g}: {nearness * threshold:.4f} accepts {np.mean(same > threshold):.4f} of {len(same)} same pairs"
        )
    listed = ", ".join(f"{nearness * threshold:.4f}" for threshold in thresholds)
    print(f'    "{features.extractor}": _constants(')
    print(f'        "{measure}", {constants.scale:.3f}, {constants.offset:.3f}, ({listed})')
    print("    ),")
    halves = [galleries[::2], galleries[1::2]]
    for half, (fitted, measured) in enumerate((halves, halves[::-1]), start=1):
        threshold = np.quantile(np.concatenate(fitted), 1 - args.far)
        accepted = np.array([(gallery > threshold).mean() for gallery in measured])
        drawn = rng.integers(0, len(accepted), (1000, len(accepted)))
        low, high = np.percentile(accepted[drawn].mean(axis=1), (2.5, 97.5))
        print(
            f"half {half} chooses {nearness * threshold:.4f} for {args.far:g}; the other half's galleries accept "
            f"{accepted.mean():.5f} (95% interval {low:.5f}-{high:.5f}), median {np.median(accepted):.5f}, "
            f"worst {accepted.max():.5f}"
        )
    return 0


def same_pairs(measure: str, features: "FeatureSet", rng: "np.random.Generator") -> "np.ndarray":
    """The cosines or distances, float64 (p,), of all same pairs of PHOTOS random photos of each person."""
    from utils.heads.pairs import capped_rows, positive_pairs
    from utils.heads.plain import measure_pairs

    rows = capped_rows(features.labels, PHOTOS, rng)
    return measure_pairs(measure, features.matrix[rows], positive_pairs(features.labels[rows]))


def stranger_measures(measure: str, features: "FeatureSet", rng: "np.random.Generator") -> list["np.ndarray"]:
    """For each person with PHOTOS photos, the measures of other people's faces: the mean of the nearest photos'."""
    import numpy as np

    from utils.heads.pairs import capped_rows
    from utils.recognition.gallery import BEST_IMAGES

    matrix = features.matrix
    if measure == "cosine":
        matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    probes = capped_rows(features.labels, PHOTOS, rng)
    galleries = []
    for person in rng.permutation(np.flatnonzero(np.bincount(features.labels) >= PHOTOS)):
        enrolled = matrix[rng.permutation(np.flatnonzero(features.labels == person))[:PHOTOS]]
        strangers = matrix[probes[features.labels[probes] != person]]
        if measure == "cosine":
            values = np.sort(strangers @ enrolled.T, axis=1)[:, -BEST_IMAGES:]
        else:
            values = np.sort(np.linalg.norm(strangers[:, None] - enrolled, axis=2), axis=1)[:, :BEST_IMAGES]
        galleries.append(values.mean(axis=1))
    return galleries


if __name__ == "__main__":
    sys.exit(main())
