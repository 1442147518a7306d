"""Compare verify.py's rule for two folders with other rules, by their false and true accept rates.

  python benchmarks/two_folders.py --features_path lfw_features --classification head

Splits the photos of each held-out person (of each person, if the head held out nobody) with at least four
photos into two halves of up to five. Compares every first half with every second half, photo by photo.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import InputError, bounded, clean_exit, file_path, script_parser

MAX_PHOTOS = 5  # in a half


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    parser.add_argument("--seed", type=bounded(int, 0), default=0, help="random seed of the split")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import numpy as np

    from utils.features.feature_files import load_features
    from utils.heads.head import load_head
    from utils.log_odds import mean_log_odds

    features, head = load_features(args.features_path), load_head(args.classification)
    rng = np.random.default_rng(args.seed)
    halves = []
    for label, name in enumerate(features.names):
        rows = rng.permutation(np.flatnonzero(features.labels == label))[: 2 * MAX_PHOTOS]
        if len(rows) >= 4 and (name in head.held_out_people or not head.held_out_people):
            halves.append(np.array_split(features.matrix[rows], 2))
    if len(halves) < 2:
        raise InputError(f"{args.features_path} has no two people with four photos that the head did not learn from")
    rules = {
        "mean of the log odds (verify.py)": mean_log_odds,
        "a single pair of photos": lambda scores: scores[0, 0],
        "best pair": np.max,
        "median": np.median,
        "mean probability": np.mean,
    }
    rule_scores = {rule: np.empty((len(halves), len(halves))) for rule in rules}
    for i, (first, _) in enumerate(halves):
        scores = head.score_gallery(first, np.concatenate([second for _, second in halves]))
        parts = np.split(scores, np.cumsum([len(second) for _, second in halves])[:-1], axis=1)
        for rule, score in rules.items():
            rule_scores[rule][i] = [score(part) for part in parts]
    same = np.eye(len(halves), dtype=bool)
    print(f"{len(halves)} people; accepted above {head.threshold:.4f}")
    for rule, scores in rule_scores.items():
        accepted = scores > head.threshold
        print(f"  {rule:<34}FAR {accepted[~same].mean():.5f}   TAR {accepted[same].mean():.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
