"""How good is it? Figures, intervals and pictures of a head beside plain distances, on people it never saw.

  python evaluate.py --features_path features --classification models/similarity --output report
  python evaluate.py --features_path features --classification models/similarity --identification
  python evaluate.py --features_path lfw_features --pairs lfw_pairs.txt --cross_validate

Verification: are two photos the same person's? On the people that train.py held out, on the pairs of a file
in LFW's form, or, with --cross_validate, by heads that learn without the people of each of the file's folds.
Identification (--identification): who of a gallery is it, or a stranger? Intervals are of 95 %, over people.
The folder --output gets evaluation.json, people.csv and the plots.
"""

import argparse
import json
import sys
from pathlib import Path

from utils.cli import (
    InputError,
    add_normalize_switch,
    bounded,
    clean_exit,
    file_path,
    script_parser,
)

GALLERY_SIZES = (10, 100, 1000)
GALLERY_PHOTOS = 5
STRANGERS = 1000
HEADS = ("plda", "dense", "distance")  # the first is what train.py chooses where there are people enough


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument("-c", "--classification", type=file_path, help="head that train.py saved")
    add_normalize_switch(
        parser, help="1: normalize for a head of the original recipe; train.py's heads carry their own"
    )
    parser.add_argument("--pairs", type=file_path, help="pairs to verify, a file in the form of LFW's pairs.txt")
    parser.add_argument(
        "--cross_validate",
        action="store_true",
        help="train heads without the people that are tested, instead of --classification",
    )
    parser.add_argument("--head", choices=HEADS, default=HEADS[0], help="what --cross_validate trains")
    parser.add_argument("--identification", action="store_true", help="find people in a gallery instead of verifying")
    parser.add_argument(
        "--gallery_sizes",
        type=bounded(int, 1),
        nargs="+",
        default=GALLERY_SIZES,
        help="people enrolled; more than there are become as many as there are",
    )
    parser.add_argument("--gallery_photos", type=bounded(int, 1), default=GALLERY_PHOTOS, help="of a person, at most")
    parser.add_argument("--strangers", type=bounded(int, 1), default=STRANGERS, help="people who come by, at most")
    parser.add_argument("--faces_path", type=file_path, help="the faces of the features, to show the worst pairs")
    parser.add_argument("-o", "--output", type=file_path, help="folder for evaluation.json, people.csv and plots")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--bootstrap", type=bounded(int, 0), default=500, help="resamplings for the intervals")
    parser.add_argument("--seed", type=bounded(int, 0, 2**32 - 1), default=0, help="same seed, same figures")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    check_arguments(args)
    import numpy as np

    from utils.evaluation.experiments import fitter, identify, verify
    from utils.evaluation.pairs import with_strangers
    from utils.features.feature_files import load_features
    from utils.files import make_folder

    features = with_strangers(load_features(args.features_path))
    if args.output:
        make_folder(args.output)  # before the work, not after it
    head = fit = None
    if args.cross_validate:
        fit = fitter(features, args.head, args.seed)
    else:
        head = load_matching_head(features, args.classification, args.features_path if args.normalize else None)
    rng = np.random.default_rng(args.seed)
    if args.identification:
        limits = (max(args.gallery_sizes), args.strangers, args.gallery_photos)
        found, plot = identify(features, head, fit, limits, args.gallery_sizes, args.bootstrap, rng)
    else:
        found, plot = verify(features, head, fit, args.pairs, args.faces_path, args.bootstrap, rng)
    report(found, plot, vars(args), args.json, args.output)
    return 0


def check_arguments(args: argparse.Namespace) -> None:
    """Raise InputError where the arguments do not go together."""
    if args.cross_validate and args.classification:
        raise InputError("--cross_validate trains its own heads: leave --classification away")
    if not args.cross_validate and not args.classification:
        raise InputError("--classification is needed, the head to evaluate; or --cross_validate, which trains some")
    if args.identification and args.pairs:
        raise InputError("--identification has no --pairs: it draws its own gallery and probes")
    if args.cross_validate and not args.identification and not args.pairs:
        raise InputError("--cross_validate needs --pairs, which say who is in which fold, or --identification")
    if args.faces_path and not args.faces_path.is_dir():
        raise InputError(f"--faces_path {args.faces_path} is not a folder")
    if args.faces_path and not args.output:
        raise InputError("--faces_path shows the worst pairs in a picture: it needs --output, the folder for it")


def load_matching_head(features, path: Path, statistics_folder: Path | None):
    """The head to evaluate. Raises InputError unless it is of the features' extractor."""
    from utils.features.normalization import load_normalization
    from utils.heads.head import load_head
    from utils.recognition.gallery import check_head

    dimension = features.matrix.shape[1]
    normalization = None
    if statistics_folder:
        normalization = load_normalization(statistics_folder, dimension, features.extractor)
    head = load_head(path, normalization)
    check_head(head, dimension, features.extractor, "the stored features come")
    return head


def report(found, plot, arguments: dict, as_json: bool, folder: Path | None) -> None:
    """Print what was found, and write it and its plots into a folder, if there is one."""
    from utils.evaluation.report import as_text, plain
    from utils.files import write_json

    words = {key: str(value) if isinstance(value, Path) else value for key, value in arguments.items()}
    content = {"arguments": words, **plain(found)}
    print(json.dumps(content, indent=1, ensure_ascii=False) if as_json else as_text(found))
    if folder:
        write_json(folder / "evaluation.json", content)
        plot(folder)


if __name__ == "__main__":
    sys.exit(main())
