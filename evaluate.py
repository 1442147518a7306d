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
    counted,
    file_path,
    script_parser,
    summarize,
    warn,
)

GALLERY_SIZES = (10, 100, 1000)
GALLERY_PHOTOS = 5
STRANGERS = 1000
WORST = 10  # pairs of each kind that are shown
PEOPLE_SHOWN = 10


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument("-c", "--classification", type=file_path, help="head that train.py saved")
    add_normalize_switch(
        parser, help="1: normalise for a head of the original recipe; train.py's heads carry their own"
    )
    parser.add_argument("--pairs", type=file_path, help="pairs to verify, a file in the form of LFW's pairs.txt")
    parser.add_argument(
        "--cross_validate",
        action="store_true",
        help="train heads without the people that are tested, instead of --classification",
    )
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
    from utils.features import load_features
    from utils.files import make_folder

    features = load_features(args.features_path)
    if args.output:
        make_folder(args.output)  # before the work, not after it
    head = None if args.cross_validate else load_matching_head(args, features)
    result = identify(args, features, head) if args.identification else verify(args, features, head)
    if args.json:
        print(json.dumps(result, indent=1, ensure_ascii=False))
    if args.output:
        from utils.files import write_json

        write_json(args.output / "evaluation.json", result)
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


def load_matching_head(args: argparse.Namespace, features):
    """The head of --classification. Raises InputError unless it is of the features' extractor."""
    from utils.gallery import check_head
    from utils.head import load_head
    from utils.normalization import load_normalization

    dimension = features.matrix.shape[1]
    normalization = None
    if args.normalize:
        normalization = load_normalization(args.features_path, dimension, features.extractor)
    head = load_head(args.classification, normalization)
    check_head(head, dimension, features.extractor, "the stored features are")
    return head


def unseen_rows(features, head):
    """The rows of the people whom the head held out, and a word for them; of all, with a warning, where it has none."""
    import numpy as np

    held = np.flatnonzero(np.isin(np.array(features.names)[features.labels], head.held_out_people))
    if len(held):
        return held, "people whom the head held out"
    warn(
        "nobody here is among the people whom the head held out: these are all the people of the folder, and where "
        "it learned from them, the figures are better than for strangers"
    )
    return np.arange(len(features.labels)), "people"


def warn_of_known(names, head) -> None:
    """Say how many people of the pairs the head may have learned from."""
    unknown = sum(name not in set(head.held_out_people) for name in names)
    if unknown:
        warn(
            f"{counted(unknown, 'person is', 'people are')} not among those whom the head held out: where it learned "
            "from them, the figures are better than for strangers (--cross_validate trains heads that did not)"
        )


def fitter(args: argparse.Namespace, features):
    """A function from rows to a head that was trained on them, and the rows among them that it held out."""
    raise NotImplementedError


def verify(args: argparse.Namespace, features, head) -> dict:
    """Measure the head and plain distances on pairs, say and draw it; returns what evaluation.json holds."""
    import numpy as np

    from utils.protocols import cross_validate, draw_pairs, judge_pairs

    rng = np.random.default_rng(args.seed)
    if args.pairs:
        pairs = load_pairs(args.pairs, features, at_least=2 if args.cross_validate else 1)
        who = f"people of {args.pairs}"
        if head:
            warn_of_known(np.array(features.names)[np.unique(pairs.people)], head)
    else:
        rows, who = unseen_rows(features, head)
        pairs = draw_pairs(features.labels, rows, rng)
        if pairs.same.all() or not pairs.same.any():
            raise InputError(f"{args.features_path}: its {who} make no pairs of both kinds, the same and different")
    if args.cross_validate:
        judged = cross_validate(features, pairs, fitter(args, features), rng)
    else:
        judged = judge_pairs(features, pairs, head)
    return report_verification(args, features, pairs, judged, who)


def load_pairs(path: Path, features, at_least: int):
    """The Pairs of a file whose images have features; the others are named and counted. Raises InputError."""
    from utils.pairs_file import image_rows, match_pairs, read_pairs
    from utils.protocols import check_folds

    people = [features.names[label] for label in features.labels]
    rows = image_rows(zip(people, features.images, strict=True))
    pairs, missing = match_pairs(read_pairs(path), rows, features.labels)
    if missing:
        warn(f"{counted(len(missing), 'pair')} of {path} left out\n{summarize(missing)}")
    check_folds(pairs, at_least)
    return pairs


def report_verification(args: argparse.Namespace, features, pairs, judged, who: str) -> dict:
    """Print, draw and return the figures of judged pairs."""
    from utils.protocols import HEAD
    from utils.report import gain_line, operating_line, people_lines, plain, verification_table, write_people
    from utils.verification import measure_operating_point, measure_scorers, people_table

    scorers = measure_scorers(judged, pairs, args.bootstrap, args.seed)
    point = measure_operating_point(judged, pairs, args.bootstrap, args.seed)
    table = people_table(judged, pairs, features.names)
    counts = {"people": len(table), "same_pairs": int(pairs.same.sum()), "different_pairs": int((~pairs.same).sum())}
    if not args.json:
        kinds = f"{counts['same_pairs']:,} same and {counts['different_pairs']:,} different pairs"
        print(f"{counts['people']:,} {who}, {kinds}")
        print(verification_table(scorers))
        print(gain_line(HEAD, scorers[HEAD]))
        print(operating_line(point))
        print(people_lines(table, PEOPLE_SHOWN))
    if args.output:
        write_people(args.output / "people.csv", table)
        plot_verification(args, features, pairs, judged, point)
    return plain({**describe(args, features), **counts, "scorers": scorers, "own_threshold": point})


def describe(args: argparse.Namespace, features) -> dict:
    """What was evaluated, for evaluation.json."""
    words = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    return {"arguments": words, "extractor": features.extractor}


def plot_verification(args: argparse.Namespace, features, pairs, judged, point) -> None:
    """Draw the curves, the scores and, where the faces are given, the worst pairs."""
    from utils.metrics import roc
    from utils.plots import draw_worst_pairs, plot_curves, plot_scores
    from utils.protocols import HEAD
    from utils.verification import worst_pairs

    curves = {name: roc(scores, pairs.same, pairs.weights) for name, scores in judged.scores.items()}
    plot_curves(curves, args.output / "roc.png", (point.far.value, point.tar.value))
    plot_scores(judged, pairs, args.output / "scores.png")
    if not args.faces_path:
        return

    def photo(row: int):
        person, image = features.names[features.labels[row]], features.images[row]
        caption = f"{person}\n{Path(image).stem.removeprefix(person).lstrip('_')}"
        return (args.faces_path / person / image if image else None), caption

    worst = {}
    for title, chosen in zip(
        ("false accepts", "false rejects"), worst_pairs(judged.scores[HEAD], pairs, WORST), strict=True
    ):
        worst[f"The worst {title}"] = [
            (*zip(*map(photo, pairs.rows[index]), strict=True), float(judged.scores[HEAD][index])) for index in chosen
        ]
    draw_worst_pairs(worst, args.output / "worst_pairs.png")


def identify(args: argparse.Namespace, features, head) -> dict:
    """Measure the rules of identification, say and draw it; returns what evaluation.json holds."""
    import numpy as np

    from utils.identification import draw_watchlist, measure_identification, run_trials, score_people
    from utils.protocols import rows_without
    from utils.report import plain

    rng = np.random.default_rng(args.seed)
    rows, who = (np.arange(len(features.labels)), "people") if head is None else unseen_rows(features, head)
    watchlist = draw_watchlist(features.labels, rows, max(args.gallery_sizes), args.strangers, args.gallery_photos, rng)
    if head is None:
        shown = features.labels[np.concatenate([watchlist.probes, watchlist.strangers])]
        head, _ = fitter(args, features)(rows_without(features.labels, shown))
    scores = score_people(head.score_gallery, features.matrix, watchlist)
    sizes = sorted({min(size, watchlist.people) for size in args.gallery_sizes})
    results = {size: measure_identification(scores, size, head.threshold, args.bootstrap, args.seed) for size in sizes}
    if not args.json:
        print_identification(results, watchlist, head.threshold, who)
    if args.output:
        from utils.plots import plot_identification

        trials = {name: run_trials(part, sizes[-1]) for name, part in scores.items()}
        plot_identification(results, trials, args.output / "identification.png")
    return plain({**describe(args, features), "strangers": len(watchlist.strangers), "galleries": results})


def print_identification(results: dict, watchlist, threshold: float, who: str) -> None:
    """The tables, a size of gallery each."""
    from utils.report import dir_gain_line, identification_table

    print(
        f"{watchlist.people:,} {who} enrolled with {len(watchlist.gallery):,} photos; as many probes of them, "
        f"and of {len(watchlist.strangers):,} strangers"
    )
    for size, rules in results.items():
        galleries = counted(watchlist.people // size, "gallery", "galleries")
        print(f"\n{galleries} of {size:,}; named is whoever scores above {threshold:.4f}")
        print(identification_table(rules))
        print(dir_gain_line("best", rules["best"]))


if __name__ == "__main__":
    sys.exit(main())
