"""From faces to sightings: search the unknown faces, then the event lines of those that match and of the names."""

from collections.abc import Sequence
from pathlib import Path

from utils.cli import counted, warn
from utils.features.extractor import Extractor
from utils.finding.chips import ChipMatch, Chips, load_chips, match_chips, sighting_of, track_of
from utils.finding.report import Report
from utils.finding.sightings import EventSearch
from utils.heads.head import Head
from utils.live.events import as_utf8


def find_sightings(
    report: Report,
    unknown_dir: Path | None,
    event_files: Sequence[Path],
    head: Head,
    extractor: Extractor,
    threshold: float | None,
) -> None:
    """Add to a report where and when its faces were seen. Raises InputError for files that cannot be used.

    Strangers in the features folder do not raise the threshold here, as they do for names: the searched face may well
    be one of them.

    Args:
        report: of photos whose faces are embedded and, with a gallery, named.
        unknown_dir: chips of unknown faces to search, or None.
        event_files: written by test.py.
        head, extractor: fit together.
        threshold: probability above which a chip shows the same person; None for the head's own for so many chips.
    """
    faces = [face for photo in report.photos for face in photo.faces]
    matches: list[list[ChipMatch]] = [[] for _ in faces]
    if unknown_dir:
        chips = load_chips(unknown_dir, extractor)
        _report_skipped(chips, unknown_dir)
        report.chips, report.chips_skipped = len(chips.paths), chips.skipped
        report.chip_threshold = head.threshold_for(len(chips.paths)) if threshold is None else threshold
        matches = match_chips([face.embedding for face in faces], chips, head, report.chip_threshold)
    names = {as_utf8(face.name) for face in faces if face.name}
    tracks = {track for found in matches for match in found if (track := track_of(match.chip))}
    events = EventSearch(tracks, names, extractor.fingerprint)
    for path in event_files:
        events.read(path)
    report.events = events.files
    for face, found in zip(faces, matches, strict=True):
        named = events.by_name[as_utf8(face.name)] if face.name else []
        seen = [*named, *(sighting_of(match, events) for match in found)]
        face.seen = sorted(seen, key=lambda sighting: sighting.order)
    report.not_joined = list(dict.fromkeys(events.problems))


def _report_skipped(chips: Chips, folder: Path) -> None:
    for message in chips.skipped:
        warn(f"not searched: {message}")
    if chips.non_square:
        pictures = counted(chips.non_square, "new picture is not square", "new pictures are not square")
        warn(f"{pictures} in {folder}: expected the faces that test.py --unknown_dir saved")
