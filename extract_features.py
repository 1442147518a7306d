"""Step 2: run the extractor once over every face and store one feature matrix a person.

  python extract_features.py --faces_path faces --model_path models/dlib --features features

Expects one folder a person in --faces_path; writes <person>/<person>_features.cPickle and a .json
beside it. A second run does only what is new or changed, and drops the rows of deleted images.
Ctrl-C keeps what is finished.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from utils.cli import add_switch, clean_exit, counted, file_path, script_parser, summarize


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
    parser.add_argument("--overwrite", action="store_true", help="do everything again, not only what changed")
    return parser


@dataclass
class PersonWork:
    """One person's images: those whose rows are kept, and those whose features are being made.

    rows: image file name → (its entry in the manifest, its features (D,) or None while they are made).
    replaces: whether a file is there whose rows are all to be made anew.
    """

    name: str
    folder: Path
    rows: dict[str, tuple[list, object]]
    todo: list[Path]
    changed: bool
    replaces: bool
    skipped: list[str] = field(default_factory=list)


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.extractor import load_extractor
    from utils.images import list_people

    folders = list_people(args.faces_path)
    extractor = load_extractor(args.model_path)
    people = [
        plan_person(folder, args.features, extractor.fingerprint, args.align, args.overwrite) for folder in folders
    ]
    start = time.monotonic()
    try:
        run_extractor(people, extractor, args.align, args.features)
    finally:  # after Ctrl-C too: what is embedded is not embedded again
        for person in people:
            complete = all(row is not None for _, row in person.rows.values())
            # A whole file made otherwise is worth more than the first rows of its successor.
            if person.changed and (complete or not person.replaces):
                save(person, args.features, extractor, args.align)
    report(people, time.monotonic() - start)
    report_orphans(args.features, {folder.name for folder in folders})
    return 0


def plan_person(folder: Path, features: Path, fingerprint: str, align: int, overwrite: bool) -> PersonWork:
    """What is known about a person's images, and what has to be embedded."""
    from utils.features import feature_path
    from utils.images import list_images

    known = {} if overwrite else known_rows(features, folder.name, fingerprint, align)
    rows, todo = {}, []
    for path in list_images(folder):
        entry = image_entry(path)
        if path.name in known and known[path.name][0] == entry:
            rows[path.name] = known[path.name]
        else:
            rows[path.name] = (entry, None)
            todo.append(path)
    replaces = not known and feature_path(features, folder.name).is_file()
    gone = bool(known.keys() - rows.keys()) or (replaces and not rows)
    return PersonWork(folder.name, folder, rows, todo, gone, replaces)


def image_entry(path: Path) -> list:
    """[file name, size in bytes, modification time in ns]: what tells a changed image from the same."""
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def known_rows(features: Path, person: str, fingerprint: str, align: int) -> dict:
    """The rows that are stored for a person by the same extractor in the same way."""
    from utils.features import load_person

    try:
        stored = load_person(features, person)
    except (ValueError, FileNotFoundError):
        return {}  # missing or damaged: made anew
    manifest = stored.manifest
    if manifest is None or manifest.extractor != fingerprint or manifest.align != align:
        return {}
    return {entry[0]: (entry, row) for entry, row in zip(manifest.images, stored.matrix, strict=True)}


def run_extractor(people: list[PersonWork], extractor, align: int, features: Path) -> None:
    """Embed everything that is to do, in batches across people; each person is saved when complete."""
    from tqdm import tqdm

    from utils.extractor import BATCH_SIZES

    left = {person.name: len(person.todo) for person in people}
    batch = []

    def finish(person: PersonWork) -> None:
        left[person.name] -= 1
        if not left[person.name]:
            save(person, features, extractor, align)

    def flush() -> None:
        rows = extractor.embed([chip for _, _, chip in batch])
        for (person, name, _), row in zip(batch, rows, strict=True):
            person.rows[name] = (person.rows[name][0], row)
            person.changed = True
            finish(person)
        batch.clear()

    with tqdm(total=sum(left.values()), unit="img", desc="extracting", disable=None) as progress:
        for person, path, chip in load_chips(people, align, extractor.size):
            progress.update()
            if isinstance(chip, str):
                del person.rows[path.name]
                person.skipped.append(f"{path}: {chip}")
                finish(person)
                continue
            batch.append((person, path.name, chip))
            if len(batch) == BATCH_SIZES[-1]:
                flush()
        flush()


def load_chips(people: list[PersonWork], align: int, size: int) -> Iterator[tuple]:
    """(person, path, RGB uint8 (size, size, 3), or the reason as text why there is none), read ahead by threads."""
    import cv2

    from utils.faces import align_crop
    from utils.images import decode_image, resize_chip
    from utils.pipeline import map_ahead

    def load(item):
        person, path = item
        try:
            image = decode_image(path.read_bytes())
            return person, path, resize_chip(align_crop(image) if align else image, size)
        except (ValueError, OSError, MemoryError, cv2.error) as exc:
            return person, path, str(exc)

    return map_ahead(load, ((person, path) for person in people for path in person.todo))


def save(person: PersonWork, features: Path, extractor, align: int) -> None:
    """Write a person's finished rows in the order of the image names; no rows, no file."""
    import numpy as np

    from utils.features import delete_person, save_person

    finished = [person.rows[name] for name in sorted(person.rows) if person.rows[name][1] is not None]
    if finished:
        matrix = np.stack([row for _, row in finished])
        save_person(features, person.name, matrix, [entry for entry, _ in finished], extractor.fingerprint, align)
    else:
        delete_person(features, person.name)
    person.changed = False


def report(people: list[PersonWork], seconds: float) -> None:
    """Print what the run did, how fast, and what it skipped and why."""
    done = sum(len(person.todo) - len(person.skipped) for person in people)
    images = sum(len(person.rows) for person in people)
    skipped = [line for person in people for line in person.skipped]
    empty = [f"{person.folder}: no usable image" for person in people if not person.rows]
    rate = f" ({done / seconds:.0f} a second)" if done else ""
    found = f"{counted(len(people) - len(empty), 'person', 'people')}, {counted(images, 'image')}"
    print(f"{found}: {done} embedded{rate}, {images - done} unchanged")
    if skipped or empty:
        print(f"skipped: {counted(len(skipped), 'image')}, {counted(len(empty), 'person', 'people')}")
        print(summarize(skipped + empty))


def report_orphans(features: Path, people: set[str]) -> None:
    """Name the people who have features but no faces folder: they are still recognised."""
    from utils.features import feature_path

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
