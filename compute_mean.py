"""Step 3 (optional): compute the statistics to normalize features with.

  python compute_mean.py --features_path features

Prints mean, standard deviation and count, and writes normalization.json into the folder.
`train.py --normalize 1` builds it into the head. Only one person at a time is in memory.
"""

import argparse
import sys

from utils.cli import clean_exit, file_path, script_parser


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder written by extract_features.py"
    )
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import numpy as np

    from utils.features.feature_files import iterate_people
    from utils.features.kept import report_kept
    from utils.features.normalization import gather_statistics, save_normalization
    from utils.features.packed import PackedPeople, open_packed, read_stamps

    folder = args.features_path
    packed = open_packed(folder)
    people = PackedPeople(folder, packed, read_stamps(folder)) if packed else iterate_people(folder)
    statistics = gather_statistics(people)
    path = save_normalization(args.features_path, statistics)
    low, median, high = np.percentile(statistics.dimension_std, [0, 50, 100])
    print(f"features: {statistics.count} × {len(statistics.dimension_mean)}")
    print(f"mean {statistics.mean:.6f}, standard deviation {statistics.std:.6f}")
    print(f"standard deviation by dimension: min {low:.6f}, median {median:.6f}, max {high:.6f}")
    print(f"{path} written")
    report_kept(args.features_path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
