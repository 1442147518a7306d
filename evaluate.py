"""Evaluate a head on people it was not trained on, compared with plain distances.

  python evaluate.py --features_path features --classification models/similarity --output report
  python evaluate.py --features_path features --classification models/similarity --identification
  python evaluate.py --features_path lfw_features --pairs lfw_pairs.txt --cross_validate
  python evaluate.py --features_path lfw_features --classification models/similarity --others school_features

Verification asks whether two photos show the same person. The pairs are of the people that train.py held out, or
come from a file in LFW's form. With --cross_validate, heads are trained without the people of each fold of the file.
Identification (--identification) asks which person of a gallery a photo shows, if any. Figures have 95 % intervals
over people. --others and --other_strangers name folders of other people, to see whether thresholds hold for them.
--output names a folder for evaluation.json, people.csv and the plots (PNG and SVG).
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import InputError, add_normalize_switch, bounded, clean_exit, file_path, script_parser
from utils.cluster import add_cluster_flags, open_cluster, read_options
from utils.heads.options import HEAD_KINDS

if TYPE_CHECKING:
    from utils.evaluation.experiments import Plot
    from utils.evaluation.identification import OpenSet
    from utils.evaluation.others import OtherPeople
    from utils.evaluation.verification import Verification
    from utils.features.feature_files import FeatureSet
    from utils.heads.head import Head

GALLERY_SIZES = (10, 100, 1000)
GALLERY_PHOTOS = 5
STRANGERS = 1000


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument("-c", "--classification", type=file_path, help="head that train.py saved")
    add_normalize_switch(parser)
    parser.add_argument("--pairs", type=file_path, help="file of pairs to verify, in the form of LFW's pairs.txt")
    parser.add_argument(
        "--cross_validate",
        action="store_true",
        help="train heads without the people they are tested on, instead of using --classification",
    )
    parser.add_argument(
        "--head", choices=("auto", *HEAD_KINDS), default="auto", help="what --cross_validate fits, as in train.py"
    )
    _add_others_arguments(parser)
    _add_identification_arguments(parser)
    parser.add_argument(
        "--cohort",
        type=file_path,
        metavar="FEATURES",
        help="features folder whose _strangers normalize the head's scores, as they do in test.py and verify.py",
    )
    parser.add_argument("--faces_path", type=file_path, help="faces of the features, to show the worst pairs")
    add_cluster_flags(parser)
    parser.add_argument("-o", "--output", type=file_path, help="folder for evaluation.json, people.csv and plots")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--bootstrap", type=bounded(int, 0), default=500, help="resamplings for the intervals")
    parser.add_argument("--seed", type=bounded(int, 0, 2**32 - 1), default=0, help="same seed, same figures")
    return parser


def _add_others_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--others",
        type=file_path,
        nargs="+",
        metavar="FOLDER",
        default=[],
        help="features of other people, to be judged at the thresholds of --features_path",
    )
    parser.add_argument(
        "--other_strangers",
        type=file_path,
        nargs="+",
        metavar="FOLDER",
        default=[],
        help="the same for features in which every photo shows another person and each subfolder is a kind of "
        "people, such as an age",
    )
    parser.add_argument(
        "--max_double",
        type=bounded(float, 0, 1),
        metavar="COSINE",
        help="leave out pairs of --other_strangers this similar or more, if a few people may be in them twice",
    )


def _add_identification_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--identification", action="store_true", help="identify people in a gallery instead of verifying pairs"
    )
    parser.add_argument(
        "--gallery_sizes",
        type=bounded(int, 1),
        nargs="+",
        default=GALLERY_SIZES,
        help="numbers of people to enroll; larger ones become as many as there are",
    )
    parser.add_argument(
        "--gallery_photos", type=bounded(int, 1), default=GALLERY_PHOTOS, help="photos per enrolled person, at most"
    )
    parser.add_argument(
        "--strangers", type=bounded(int, 1), default=STRANGERS, help="people to probe without enrolling them, at most"
    )


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    check_task(args.classification, args.cross_validate, args.identification, args.pairs)
    check_others(args.others, args.other_strangers, args.identification, args.max_double)
    check_faces_path(args.faces_path, args.output)
    options = read_options(args.cluster, args.workers, args.worker_cpus, args.worker_gpus)
    if options and (args.identification or not args.cross_validate):
        raise InputError("--cluster fits the heads of several folds at once: it needs --cross_validate and --pairs")
    import numpy as np

    from utils.evaluation.experiments import identify, judge_others, make_fit, verify
    from utils.evaluation.identification import WatchlistLimits
    from utils.evaluation.others import load_groups
    from utils.evaluation.pairs import with_strangers
    from utils.features.feature_files import load_strangers
    from utils.features.stored_people import load_feature_set
    from utils.files import make_folder
    from utils.recognition.cohort import NormalizedHead

    features = with_strangers(load_feature_set(args.features_path))
    groups = load_groups(args.others, args.other_strangers, features)
    if args.output:
        make_folder(args.output, private=True)  # fail early if the folder cannot be created
    head = fit = others = None
    cohort = None
    if args.cohort:
        cohort = load_strangers(args.cohort, features.extractor, features.matrix.shape[1])
    if args.cross_validate:
        fit = make_fit(features, args.head, args.seed, cohort)
    else:
        head = load_matching_head(features, args.classification, args.features_path if args.normalize else None)
        head = head if cohort is None else NormalizedHead(head, cohort)
    rng = np.random.default_rng(args.seed)
    if args.identification:
        limits = WatchlistLimits(max(args.gallery_sizes), args.strangers, args.gallery_photos)
        result, plot = identify(features, head, fit, limits, args.gallery_sizes, args.bootstrap, rng)
    else:
        with open_cluster(options) as workers:
            result, plot = verify(features, head, fit, args.pairs, args.faces_path, args.bootstrap, rng, workers)
        if groups:
            others = judge_others(features, head, fit, groups, args.max_double, args.bootstrap, rng)
    report(result, others, plot, vars(args), args.json, args.output)
    return 0


def check_task(head_path: Path | None, cross_validate: bool, identification: bool, pairs_path: Path | None) -> None:
    """Raise InputError for flags that contradict each other or say too little."""
    if cross_validate and head_path:
        raise InputError("--cross_validate trains its own heads: leave out --classification")
    if not cross_validate and not head_path:
        raise InputError("give the head to evaluate with --classification, or train heads with --cross_validate")
    if identification and pairs_path:
        raise InputError("--identification does not use --pairs: it samples its own gallery and probes")
    if cross_validate and not identification and not pairs_path:
        raise InputError("--cross_validate needs --pairs, which define the folds, or --identification")


def check_others(people: list[Path], strangers: list[Path], identification: bool, max_double: float | None) -> None:
    """Raise InputError for flags about other people that do not fit. people, strangers: folders of them."""
    if identification and (people or strangers):
        raise InputError("--others and --other_strangers belong to verification: leave out --identification")
    if max_double is not None and not strangers:
        raise InputError("--max_double leaves out pairs of --other_strangers: name their folder")


def check_faces_path(faces_path: Path | None, output: Path | None) -> None:
    """Raise InputError if the worst pairs cannot be drawn."""
    if faces_path and not faces_path.is_dir():
        raise InputError(f"--faces_path {faces_path} is not a folder")
    if faces_path and not output:
        raise InputError("--faces_path draws the worst pairs: name the folder for the picture with --output")


def load_matching_head(features: "FeatureSet", path: Path, statistics_folder: Path | None) -> "Head":
    """The head to evaluate. Raises InputError if it was trained on features of another extractor.

    statistics_folder: normalize with its statistics; None to leave the features as they are.
    """
    from utils.features.normalization import load_normalization
    from utils.heads.head import load_head
    from utils.recognition.gallery import check_head

    dimension = features.matrix.shape[1]
    normalization = load_normalization(statistics_folder, dimension, features.extractor) if statistics_folder else None
    head = load_head(path, normalization)
    check_head(head, dimension, features.extractor, "the stored features come")
    return head


def report(
    result: "Verification | OpenSet",
    others: "OtherPeople | None",
    plot: "Plot",
    arguments: dict,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Print the results, and write them and their plots into a folder if there is one.

    arguments: the command line, for evaluation.json.
    """
    from utils.evaluation.report import as_text, others_text, to_json
    from utils.files import write_json

    content = {"arguments": to_json(arguments), **to_json(result)}
    if others:
        content["others"] = to_json(others)
    text = [as_text(result), *([others_text(others)] if others else [])]
    print(json.dumps(content, indent=1, ensure_ascii=False) if as_json else "\n".join(text))
    if folder:
        write_json(folder / "evaluation.json", content, private=True)
        plot(folder)
    if folder and others:
        from utils.evaluation.others_plot import plot_others

        plot_others(others, folder / "others.png")


if __name__ == "__main__":
    sys.exit(main())
