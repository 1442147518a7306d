"""Collect faces from folders of photos: selfies/<person>/* → faces/<person>/*.png.

  python selfies2face.py --face_selfies selfies --faces_path faces

Only photos with exactly one face are taken. A face counts if it is at least --min_size wide and
high, and at least half as high as the largest in the photo: a passer-by in the background is no
second face. --largest takes the biggest of several. The rest are listed with the reason. A second
run does only new and changed photos. JPEG, PNG, HEIC and most others are read, turned by their EXIF.
"""

import argparse
import contextlib
import sys
from pathlib import Path

from utils.cli import (
    UNLIMITED,
    InputError,
    add_detection_arguments,
    bounded,
    clean_exit,
    counted,
    file_path,
    script_parser,
    summarize,
)

MIN_SIZE = 40  # pixels
MAX_SIZE = 960  # pixels of the longer side that is searched


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-s",
        "--faces_selfies",
        "--face_selfies",
        required=True,
        type=file_path,
        help="folder of person folders with photos",
    )
    parser.add_argument(
        "-p", "--faces_path", "--face_path", required=True, type=file_path, help="folder that the faces go to"
    )
    parser.add_argument("--largest", action="store_true", help="take the biggest face of several")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="do everything again (after changing --detector, --align, --min_size or --max_size)",
    )
    parser.add_argument(
        "--max_size",
        type=bounded(int, 0, UNLIMITED),
        default=MAX_SIZE,
        help="a photo with a longer side is searched in a copy of so many pixels; the face is cut from the original. "
        "Faces that have few pixels in the copy are missed (see --detector). 0: every photo in full, slower by far",
    )
    parser.add_argument(
        "-j", "--jobs", type=bounded(int, 1, 256), help="photos at a time (default: one a processor core)"
    )
    add_detection_arguments(parser, MIN_SIZE)
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from tqdm import tqdm

    from utils.faces.detection import load_detector
    from utils.files import make_folder
    from utils.media.images import list_images, list_people, png_name
    from utils.threads import map_ahead

    if args.faces_path.resolve() == args.faces_selfies.resolve():
        raise InputError(
            f"--faces_path {args.faces_path} is the folder of the selfies: the faces need one of their own"
        )
    folders = list_people(args.faces_selfies)
    photos = [photo for folder in folders for photo in list_images(folder)]
    if not photos:
        raise InputError(f"{args.faces_selfies} has no photos in its {len(folders)} person folders")
    make_folder(args.faces_path)
    chips = {photo: args.faces_path / photo.parent.name / png_name(photo.name) for photo in photos}
    todo = [photo for photo in photos if args.overwrite or not is_done(photo, chips[photo])]
    search_size = args.max_size or UNLIMITED
    # Photos are small to the detector and large to the user, so the size is judged here. One thread for
    # each photo and several photos at a time is faster than several threads for one photo after another.
    detect = load_detector(args.detector, 1, bool(args.align), search_size, threads=1)

    def convert(photo: Path) -> str | None:
        return convert_photo(photo, chips[photo], detect, search_size, args.min_size, args.largest)

    saved, problems = 0, []
    progress = tqdm(map_ahead(convert, todo, args.jobs), total=len(todo), unit="photo", desc="cropping", disable=None)
    for photo, problem in zip(todo, progress, strict=True):
        if problem:
            problems.append(f"{photo}: {problem}")
        else:
            saved += 1
    unchanged = len(photos) - len(todo)
    found = f"{counted(len(folders), 'person', 'people')}, {counted(len(photos), 'photo')}"
    print(f"{found}: {counted(saved, 'face')} saved, {unchanged} unchanged")
    if problems:
        print(f"left out: {len(problems)}")
        print(summarize(problems, limit=len(problems)))
    return 0


def is_done(photo: Path, chip: Path) -> bool:
    """Whether a face is there that is newer than its photo."""
    try:
        return chip.stat().st_mtime >= photo.stat().st_mtime
    except OSError:  # not there yet, or with a name that cannot be
        return False


def convert_photo(photo: Path, chip: Path, detect, search_size: int, min_size: int, largest: bool) -> str | None:
    """Save the face of one photo; returns the reason where none is taken, and then leaves no older face of it."""
    import cv2

    from utils.faces.detection import main_faces
    from utils.faces.photo import Photo
    from utils.files import is_disk_full
    from utils.media.images import write_image

    try:
        picture = Photo(photo.read_bytes(), search_size)
        faces = main_faces([face for face in picture.faces(detect) if min(face.box[2:]) >= min_size])
        if len(faces) == 1 or (faces and largest):
            write_image(chip, picture.chip(faces[0]))
            return None
        problem = f"{len(faces)} faces (--largest takes the biggest)" if faces else "no face found"
    except (ValueError, cv2.error) as exc:
        problem = str(exc)
    except (OSError, MemoryError) as exc:  # which says nothing of the photo: an older face of it stays
        if isinstance(exc, OSError) and is_disk_full(exc):
            raise
        return str(exc) or type(exc).__name__
    with contextlib.suppress(OSError):  # a name too long for a file, for one
        chip.unlink()
    return problem


if __name__ == "__main__":
    sys.exit(main())
