"""Pack the features of many people into one file, which test.py and the other scripts open at once.

  python pack.py --features features

Writes features/_gallery from the person folders, which stay the truth: whoever is deleted there is forgotten. A second
run reads only the people who have changed. Worth it from 1,000 people on.
"""

import argparse
import sys

from utils.cli import clean_exit, file_path, script_parser


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that extract_features.py wrote")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.features.packed import pack_and_report

    pack_and_report(args.features)
    return 0


if __name__ == "__main__":
    sys.exit(main())
