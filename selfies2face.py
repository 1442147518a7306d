"""Collect faces from folders of photos: selfies/<person>/* → faces/<person>/*.png.

  python selfies2face.py --face_selfies selfies --faces_path faces

Takes only photos with exactly one face, turned in any way. A face counts if it is at least --min_size wide and
high, and at least half as high as the main face, so passers-by in the background do not count. The main face is
large, near the middle and not cut by the border. With --largest, takes the main one of several faces and lists
these photos as unsure; with --largest --model_path, takes the face that agrees with the person's other photos,
and none if that is unsure. Lists all other photos with the reason. A second run processes only new and changed
photos. Every file of the folder is counted: saved, unchanged, left out, or not read. Reads JPEG, PNG, HEIC and
most other formats, and applies EXIF rotation.
"""

import argparse
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import (
    UNLIMITED,
    InputError,
    add_detection_arguments,
    add_engine_flags,
    bounded,
    clean_exit,
    counted,
    file_path,
    script_parser,
    summarize,
)
from utils.cluster import add_cluster_flags, open_cluster, read_options
from utils.threads import limit_blas

if TYPE_CHECKING:
    from utils.media.albums import Album
    from utils.recognition.photo_conversion import Outcome, PhotoConverter
    from utils.workers import Workers

MIN_SIZE = 40  # pixels
MAX_SIZE = 960  # pixels of the longer side of the copy that is searched
PHOTOS_AT_ONCE = 16  # that a worker of a cluster gets, and finishes after Ctrl-C: a second or two of work


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-s",
        "--faces_selfies",
        "--face_selfies",
        required=True,
        type=file_path,
        help="folder with one folder of photos per person",
    )
    parser.add_argument(
        "-p", "--faces_path", "--face_path", required=True, type=file_path, help="folder to write the faces to"
    )
    parser.add_argument("--recursive", action="store_true", help="also read the folders inside a person's folder")
    parser.add_argument("--largest", action="store_true", help="take the main one of several faces")
    parser.add_argument(
        "-m",
        "--model_path",
        type=file_path,
        help="with --largest: extractor saved by network.py, to choose the face that a person's photos have in common",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="process all photos again (after changing --detector, --align, --min_size or --max_size)",
    )
    parser.add_argument(
        "--max_size",
        type=bounded(int, 0, UNLIMITED),
        default=MAX_SIZE,
        help="search photos with a longer side in a copy of this size, in pixels; the face is cut from the original. "
        "Faces that are small in the copy are missed (see --detector). 0: search every photo in full, far slower",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=bounded(int, 1, 256),
        help="photos to process at once (default: one more than processor cores)",
    )
    add_cluster_flags(parser)
    add_engine_flags(parser)
    add_detection_arguments(parser, MIN_SIZE)
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    options = read_options(args.cluster, args.workers, args.worker_cpus, args.worker_gpus, args.jobs)
    limit_blas()
    from utils.faces.photo_search import load_photo_search
    from utils.files import make_folder
    from utils.media.albums import check_has_photos, read_album
    from utils.recognition.photo_conversion import PhotoConverter, choose_faces, find_crowds, load_choosing
    from utils.storage import listed

    if args.faces_path.resolve() == args.faces_selfies.resolve():
        raise InputError(f"--faces_path {args.faces_path} is the folder of the selfies: choose another for the faces")
    album = read_album(args.faces_selfies, args.recursive)
    check_has_photos(album, args.faces_selfies)
    if args.model_path and not args.largest:
        raise InputError("--model_path chooses one of several faces: it needs --largest")
    extractor = None
    if args.model_path:
        from utils.features.extractor import load_extractor

        extractor = load_extractor(args.model_path, args.precision, engine=args.engine)
    chips = plan_chips(album, args.faces_path)
    make_folder(args.faces_path, private=True)
    seen = plan_chips(album, listed(args.faces_path))
    todo = [photo for photo in chips if args.overwrite or not is_done(photo, seen[photo])]
    search_size = args.max_size or UNLIMITED
    # The search sees a small copy, but --min_size is in pixels of the photo, so the converter checks it.
    # Several photos at once with one thread each are faster than several threads for one photo.
    search = load_photo_search(args.detector, bool(args.align), search_size, threads=1)
    converter = PhotoConverter(search, search_size, args.min_size, args.largest, extractor is not None)
    with open_cluster(options if todo else None) as workers:
        outcomes = convert(todo, chips, converter, workers, args.jobs, args.faces_path)
        if extractor:
            crowds = find_crowds(chips, outcomes)
            if workers:
                load = functools.partial(load_choosing, converter, args.model_path, args.precision, args.engine)
                choices = workers.map(load, crowds, 1, sees=todo[:1], writes=args.faces_path)
            else:
                choices = (choose_faces(crowd, converter, extractor) for crowd in crowds)
            for decided in choices:
                outcomes |= decided
    report(outcomes, album, len(todo), len(chips))
    return 0


def convert(
    todo: list[Path],
    chips: dict[Path, Path],
    converter: "PhotoConverter",
    workers: "Workers | None",
    jobs: int | None,
    faces_path: Path,
) -> "dict[Path, Outcome]":
    """Convert photos to chips, by workers of a cluster or by threads; returns what came of each."""
    from tqdm import tqdm

    pairs = [(photo, chips[photo]) for photo in todo]
    if workers:
        results = workers.map(converter.load_here, pairs, PHOTOS_AT_ONCE, sees=todo[:1], writes=faces_path)
    else:
        results = converter.convert_all(pairs, jobs)
    progress = tqdm(results, total=len(todo), unit="photo", desc="cropping", disable=None)
    return dict(zip(todo, progress, strict=True))


def report(outcomes: "dict[Path, Outcome]", album: "Album", todo: int, photos: int) -> None:
    """Print what came of the photos, which were left out and why, and which files of the album are not read.

    todo, photos: how many were to be converted, and how many there are.
    """
    from utils.media.albums import report_unread

    problems = [f"{photo}: {outcome.problem}" for photo, outcome in outcomes.items() if outcome.problem]
    doubts = [f"{photo}: {outcome.doubt}" for photo, outcome in outcomes.items() if outcome.doubt]
    counts = f"{counted(len(album.people), 'person', 'people')}, {counted(photos, 'photo')}"
    saved, unchanged = todo - len(problems), photos - todo
    print(f"{counts}: {counted(saved, 'face')} saved, {unchanged} unchanged, {len(problems)} left out")
    report_unread(album)
    if doubts:
        print(f"saved, but perhaps somebody else's face (--model_path compares the photos): {len(doubts)}")
        print(summarize(doubts, limit=len(doubts)))
    if problems:
        print(f"left out: {len(problems)}")
        print(summarize(problems, limit=len(problems)))


def plan_chips(album: "Album", faces_path: Path) -> dict[Path, Path]:
    """Where the face of each photo is saved."""
    from utils.files import subfolder

    return {
        photo: subfolder(faces_path, person.name) / name
        for person in album.people
        for photo, name in person.chip_names.items()
    }


def is_done(photo: Path, chip: Path) -> bool:
    """Whether there is a chip that is newer than its photo."""
    try:
        return chip.stat().st_mtime >= photo.stat().st_mtime
    except OSError:  # there is none yet, or its name is not possible
        return False


if __name__ == "__main__":
    sys.exit(main())
