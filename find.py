"""Find the people in photos among all who are enrolled, and find where and when test.py saw a face.

  python find.py photo.jpg --features features --model models/sface --classification models/similarity
  python find.py photo.jpg --unknown_dir unknown --events events.jsonl --model models/sface \\
      --classification models/similarity

With --features, each face gets the name that test.py would give it in a photo, or "unknown", and the people whom it
resembles most. With --unknown_dir, each face is compared with the faces of strangers that test.py saved there, and
with --events their event lines say where and when: in which video, or by which camera. With --features and --events,
a face that gets a name is found wherever test.py gave that name. All of them may be combined.

The features of the faces in --unknown_dir are kept inside it, in .features, so that the next search is quick.

The exit status is 0 whether or not anybody was found, and 2 for an error.
"""

import argparse
import json
import sys
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import (
    InputError,
    add_detection_arguments,
    add_engine_flags,
    add_gallery_rule,
    add_model_arguments,
    bounded,
    clean_exit,
    file_path,
    local_path,
    script_parser,
    warn,
)
from utils.threads import Loading, limit_blas

if TYPE_CHECKING:
    from utils.features.extractor import Extractor
    from utils.finding.report import Report
    from utils.heads.head import Head
    from utils.recognition.gallery import Gallery

TOP = 5  # people who are listed for a face


@dataclass(frozen=True)
class FindOptions:
    """The command line; see `--help`."""

    photos: list[Path]
    features: Path | None
    unknown_dir: Path | None
    events: list[Path]
    model: Path
    classification: Path
    top: int
    json: bool
    threshold: float | None
    min_votes: float | None
    normalize: int
    engine: str
    precision: str
    detector: str
    min_size: int
    align: int


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("photos", nargs="+", type=file_path, metavar="PHOTO", help="photo, or folder of photos")
    parser.add_argument("-f", "--features", type=file_path, help="folder that extract_features.py wrote: search people")
    parser.add_argument("--unknown_dir", type=file_path, help="folder that test.py wrote: search unknown faces")
    parser.add_argument(
        "--events",
        nargs="+",
        action="extend",
        type=local_path,
        help="files of event lines that test.py wrote: where and when the faces were seen",
    )
    add_model_arguments(parser)
    parser.add_argument("--top", type=bounded(int, 0), default=TOP, help="people to list for each face")
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences, and all else to stderr")
    add_gallery_rule(parser)
    add_engine_flags(parser)
    add_detection_arguments(parser)
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    options = FindOptions(**vars(args) | {"events": args.events or []})
    if not (options.features or options.unknown_dir):
        raise InputError("nothing to search: pass --features for people, or --unknown_dir for unknown faces")
    if options.normalize and not options.features:
        raise InputError("--normalize 1 takes its numbers from --features")
    with ExitStack() as cleanup:
        if options.json:
            cleanup.enter_context(redirect_stdout(sys.stderr))
        report = find(options)
    if options.json:  # without other signs than ASCII, so that the terminal's encoding does not matter
        print(json.dumps(report.as_dict(), indent=1))
    else:
        print("\n".join(report.as_lines()))
    return 0


def find(options: FindOptions) -> "Report":
    """Search for every face of the photos. Raises InputError if there is nothing to search, or no readable photo."""
    limit_blas()
    from utils.faces.photo_search import load_photo_search
    from utils.finding.chips import check_chips
    from utils.finding.photos import list_photos, name_faces, read_photos
    from utils.finding.report import Report
    from utils.finding.search import find_sightings
    from utils.finding.sightings import check_events

    paths, not_read = list_photos(options.photos)
    if options.unknown_dir:
        check_chips(options.unknown_dir)
    for path in options.events:
        check_events(path)
    loading = Loading(lambda: load_photo_search(options.detector, bool(options.align)))
    gallery, head, extractor = load_models(options)
    photos, unreadable = read_photos(paths, loading.result(), options.min_size, extractor)
    for message in unreadable:
        warn(f"not read: {message}")
    report = Report(photos, unreadable, not_read)
    if gallery:
        report.people, report.threshold = len(gallery.enrolled), gallery.threshold
        for photo in photos:
            name_faces(photo.faces, gallery, options.top)
    find_sightings(report, options.unknown_dir, options.events, head, extractor, options.threshold)
    return report


def load_models(options: FindOptions) -> "tuple[Gallery | None, Head, Extractor]":
    """The gallery, if there is one, the head and the extractor, which fit together."""
    from utils.features.extractor import load_extractor
    from utils.heads.head import load_head
    from utils.live import session
    from utils.recognition.gallery import check_head

    if options.features:
        gallery, extractor, _ = session.load_models(
            features_path=options.features,
            model_path=options.model,
            head_path=options.classification,
            normalize=bool(options.normalize),
            threshold=options.threshold,
            min_votes=options.min_votes,
            engine=options.engine,
            precision=options.precision,
        )
        return gallery, gallery.head, extractor
    head = load_head(options.classification)
    extractor = load_extractor(options.model, options.precision, engine=options.engine)
    check_head(head, extractor.dimension, extractor.fingerprint, "the features of --model come")
    return None, head, extractor


if __name__ == "__main__":
    sys.exit(main())
