"""Step 2: run the extractor once over every face and store one feature matrix a person.

  python extract_features.py --faces_path faces --model_path models/dlib --features features

Expects one folder a person in --faces_path; writes <person>/<person>_features.cPickle and a .json
beside it. A second run does only what is new or changed, and drops the rows of deleted images; another
extractor's features are replaced. Ctrl-C keeps what is finished.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from utils.cli import InputError, add_switch, bounded, clean_exit, counted, file_path, script_parser, summarize, warn


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-p", "--faces_path", required=True, type=file_path, help="folder of person folders with faces")
    parser.add_argument("-m", "--model_path", required=True, type=file_path, help="extractor that network.py saved")
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that the features go to")
    add_switch(
        parser,
        "--align",
        default=0,
        help="1: for crops that were never aligned (not those of capture.py and selfies2face.py): "
        "landmarks are placed on the crop's own rectangle",
    )
    parser.add_argument(
        "--batch_size",
        type=bounded(int, 1, 4096),
        help="images a call of the network (default: 64, or 32 large ones, on a processor; 256 on a graphics card)",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=bounded(int, 1, 256),
        help="threads that read, decode and crop (default: one a processor core)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="what the network computes in; bfloat16 is about twice as fast where the processor or card has it, and "
        "moves a feature vector by about 1 %% of its length",
    )
    parser.add_argument("--overwrite", action="store_true", help="do everything again, not only what changed")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.features.extraction import FeatureStore, embed_people
    from utils.features.extractor import load_extractor
    from utils.features.inference import bfloat16_doubt
    from utils.files import make_folder
    from utils.media.images import list_people

    folders = list_people(args.faces_path)
    make_folder(args.features)  # before the work, not after it
    extractor = load_extractor(args.model_path, args.precision, args.batch_size)
    if args.precision == "bfloat16" and (doubt := bfloat16_doubt()):
        warn(f"{doubt}: --precision bfloat16 may well be slower than float32 here, and is never more exact")
    start = time.monotonic()
    store = FeatureStore(args.features, extractor.fingerprint, args.align)
    people = [store.plan(folder, args.overwrite) for folder in folders]
    report_replaced(people, extractor.fingerprint)
    embed_people(people, extractor, store, args.jobs)
    report(people, time.monotonic() - start)
    report_orphans(args.features, {folder.name for folder in folders})
    unwritten = [person.write_error for person in people if person.write_error]
    if unwritten:
        others = f" (and {counted(len(unwritten) - 1, 'person', 'people')} more)" if unwritten[1:] else ""
        raise InputError(f"not all features could be written: {unwritten[0]}{others}")
    return 0


def report_replaced(people: list, fingerprint: str) -> None:
    """Say which other extractors' features the run replaces, from a list of PersonWork: whose --model_path this is."""
    former = Counter(person.previous_extractor for person in people if person.previous_extractor)
    if former:
        parts = (f"{extractor} ({counted(number, 'person', 'people')})" for extractor, number in former.most_common())
        print(f"features of {', of '.join(parts)} are replaced: --model_path is {fingerprint}")


def report(people: list, seconds: float) -> None:
    """Print what the run did with a list of PersonWork, how fast, and what it skipped and why."""
    done = sum(len(person.todo) - len(person.skipped) for person in people)
    images = sum(len(person.entries) for person in people)
    skipped = [line for person in people for line in person.skipped]
    empty = [f"{person.folder}: no usable image" for person in people if not person.entries]
    rate = f" ({done / seconds:.0f} a second)" if done else ""
    found = f"{counted(len(people) - len(empty), 'person', 'people')}, {counted(images, 'image')}"
    print(f"{found}: {done} embedded{rate}, {images - done} unchanged")
    oblong = sum(len(person.non_square) for person in people)
    if oblong:
        warn(
            f"{counted(oblong, 'image is no square', 'images are no squares')}: whole photos give wrong names, "
            "selfies2face.py makes faces of them (crops from elsewhere want --align 1)"
        )
    if skipped or empty:
        print(f"skipped: {counted(len(skipped), 'image')}, {counted(len(empty), 'person', 'people')}")
        print(summarize(skipped + empty))


def report_orphans(features: Path, people: set[str]) -> None:
    """Name the people who have features but no faces folder: they are still recognized."""
    from utils.features.feature_files import feature_path

    if not features.is_dir():  # nothing was ever extracted
        return
    orphans = sorted(
        path.name
        for path in features.iterdir()
        if path.name not in people and feature_path(features, path.name).is_file()
    )
    if orphans:
        people_kept = counted(len(orphans), "person", "people")
        print(f"kept: {people_kept} with features but without a folder in --faces_path; delete these to forget them")
        print(summarize([str(features / name) for name in orphans]))


if __name__ == "__main__":
    sys.exit(main())
