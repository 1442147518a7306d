"""Step 2: run the extractor over every face once and store one feature matrix per person.

  python extract_features.py --faces_path faces --model_path models/dlib --features features

Expects one folder per person in --faces_path. Writes <person>/<person>_features.cPickle and a .json
beside it. A second run embeds only new and changed images and drops the rows of deleted ones.
Features of another extractor are replaced. Ctrl-C keeps what is finished.
"""

import argparse
import dataclasses
import functools
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from utils.cli import (
    InputError,
    add_engine_flags,
    add_switch,
    bounded,
    clean_exit,
    counted,
    file_path,
    script_parser,
    summarize,
    warn,
)
from utils.cluster import add_cluster_flags, open_cluster, read_options
from utils.threads import core_count, limit_blas, map_stored

if TYPE_CHECKING:
    from utils.features.extraction import PersonWork
    from utils.media.albums import Album


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-p", "--faces_path", required=True, type=file_path, help="folder with a folder per person")
    parser.add_argument("-m", "--model_path", required=True, type=file_path, help="extractor saved by network.py")
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder to write the features to")
    add_switch(
        parser,
        "--align",
        default=0,
        help="1: align crops that are not aligned yet (those of capture.py and selfies2face.py are); landmarks are "
        "fitted to the crop as a whole",
    )
    parser.add_argument("--overwrite", action="store_true", help="embed all images again, not only changed ones")
    parser.add_argument(
        "--pack",
        action="store_true",
        help="pack the features, as pack.py does; done anyway where they are packed already",
    )
    add_speed_flags(parser)
    return parser


def add_speed_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that change how fast the features are computed."""
    parser.add_argument(
        "--batch_size",
        type=bounded(int, 1, 4096),
        help="images per call of the network (default: 64 on a CPU, or 32 for large inputs; 256 on a GPU)",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=bounded(int, 1, 256),
        help="threads that read, decode and crop images (default: one per processor core)",
    )
    add_cluster_flags(parser)
    add_engine_flags(parser)


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    options = read_options(args.cluster, args.workers, args.worker_cpus, args.worker_gpus, args.jobs)
    limit_blas()
    from utils.features.embedding import Embedder, load_embedding
    from utils.features.extraction import FeatureStore, embed_people
    from utils.features.extractor import load_extractor
    from utils.features.kept import report_kept
    from utils.features.packed import is_packed, pack_and_report
    from utils.files import make_folder
    from utils.keras_models import find_model
    from utils.media.albums import read_album
    from utils.storage import listed

    album = read_album(args.faces_path)
    make_folder(args.features, private=True)  # fail early if the folder cannot be created
    extractor = load_extractor(args.model_path, args.precision, args.batch_size, args.engine, core_count())
    start = time.monotonic()
    store = FeatureStore(args.features, extractor.fingerprint, args.align)
    seen = dataclasses.replace(store, folder=listed(args.features))
    plans = map_stored(lambda person: seen.plan(person.folders, args.overwrite), album.people, args.features)
    people = list(plans)
    report_problems(people)
    report_replaced(people, extractor.fingerprint)
    total = sum(len(person.todo) for person in people)
    embedder = Embedder(extractor, args.align, total)
    with open_cluster(options if total else None) as workers:
        embed = functools.partial(embedder.embed, jobs=args.jobs)
        if workers:
            settings = args.model_path, args.precision, embedder.size, args.engine, args.align
            load = functools.partial(load_embedding, *settings)
            sees = [find_model(args.model_path), args.faces_path]
            embed = functools.partial(workers.map, load, unit=embedder.size, sees=sees)
        embed_people(people, store, embed)
    report(people, album, time.monotonic() - start)
    report_shared(people)
    report_kept(args.features, args.faces_path)
    errors = [person.write_error for person in people if person.write_error]
    if errors:
        others = f" (and {counted(len(errors) - 1, 'person', 'people')} more)" if errors[1:] else ""
        raise InputError(f"not all features could be written: {errors[0]}{others}")
    if args.pack or is_packed(args.features):
        pack_and_report(args.features)
    return 0


def report_replaced(people: "list[PersonWork]", fingerprint: str) -> None:
    """Print the other extractors whose features this run replaces, and the fingerprint of its own."""
    previous = Counter(person.previous_extractor for person in people if person.previous_extractor)
    if previous:
        parts = (f"{extractor} ({counted(count, 'person', 'people')})" for extractor, count in previous.most_common())
        print(f"replacing the features of {', of '.join(parts)}: --model_path is {fingerprint}")


def report_problems(people: "list[PersonWork]") -> None:
    """Warn of stored features that cannot be used."""
    for person in people:
        if person.problem:
            warn(f"{person.name}: {person.problem}: extracting again")


def report(people: "list[PersonWork]", album: "Album", seconds: float) -> None:
    """Print what the run did, how fast, and what it skipped or did not read and why. Every file is counted once.

    people: of the album, in its order.
    """
    from utils.media.albums import count_unread, report_unread

    unread = count_unread(album.all_unread)
    failed = sum(len(person.unusable) for person in people)
    embedded = sum(len(person.todo) - len(person.skipped) - len(person.unusable) for person in people)
    images = sum(len(person.entries) for person in people)
    skipped = [line for person in people for line in person.skipped]
    # Images that a disk error kept from being read stay in the entries, so that their stored rows are kept.
    unchanged = images - embedded - failed - sum(len(person.unreadable) for person in people)
    listed = [(person, len(owner.chip_names)) for person, owner in zip(people, album.people, strict=True)]
    lost = [(person, photos) for person, photos in listed if photos and not person.entries]
    empty = [f"{person.folder}: {person.left_out or 'no usable image'}" for person, _ in lost]
    rate = f" ({embedded / seconds:.0f} per second)" if embedded else ""
    totals = (
        f"{counted(sum(bool(person.entries) for person in people), 'person', 'people')}, {counted(images, 'image')}"
    )
    print(f"{totals}: {embedded} embedded{rate}, {unchanged} unchanged")
    left_out = len(skipped) + sum(photos for person, photos in lost if person.left_out)
    if left_out or failed or unread:
        files = embedded + unchanged + left_out + failed + unread
        parts = f"{embedded} embedded, {unchanged} unchanged, {left_out} skipped, {failed} failed, {unread} not read"
        print(f"{counted(files, 'file')} in all: {parts}")
    non_square = sum(len(person.non_square) for person in people)
    if non_square:
        warn(
            f"{counted(non_square, 'image is not square', 'images are not square')}: whole photos give wrong names, "
            "so crop the faces with selfies2face.py (use --align 1 for crops made by other programs)"
        )
    narrow = sum(len(person.narrow) for person in people)
    if narrow:
        print(
            f"note: {narrow} of {counted(embedded, 'image')} are chips of an earlier version, which cut off a part of "
            "the face that this extractor sees: selfies2face.py --overwrite and capture.py make complete ones"
        )
    if skipped or empty:
        print(f"skipped: {counted(left_out, 'image')}, {counted(len(empty), 'person', 'people')}")
        print(summarize(skipped + empty, limit=len(skipped + empty)))
    report_unread(album)


def report_shared(people: "list[PersonWork]") -> None:
    """Warn of images that stand under two people's names: at least one of the names is wrong."""
    from utils.features.extraction import shared_images

    pairs = [f"{first} = {second}" for first, second in shared_images(people)]
    if pairs:
        warn(f"{counted(len(pairs), 'image stands', 'images stand')} under two names, byte for byte:")
        print(summarize(pairs), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
