"""Compare faces with the chips that test.py --unknown_dir saved, whose features are kept beside them.

The features lie in `.features` inside the folder of chips, so that deleting the folder forgets both. A second search
embeds only new chips.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.cli import InputError
from utils.features.embedding import Embedder
from utils.features.extraction import FeatureStore, embed_people
from utils.features.extractor import Extractor
from utils.features.feature_files import load_person
from utils.files import make_folder
from utils.finding.sightings import EventSearch, Sighting, TrackKey
from utils.heads.head import Head
from utils.media.images import list_images

FEATURES = ".features"  # the folder for the features of the chips, in the folder of chips
TRACKED = re.compile(r"unknown_(\d{8}_\d{6}_\d{6})_(\d+)\.png")  # the names that test.py gives to chips


class ChipMatch(NamedTuple):
    """A chip that probably shows the same person as a face."""

    chip: Path
    score: float  # the probability, 0-1


@dataclass(frozen=True)
class Chips:
    """The faces in a folder."""

    paths: list[Path]  # in the order of the rows
    matrix: np.ndarray  # features, float32 (n, D)
    skipped: list[str]  # "path: reason" of files that are no chips
    non_square: int  # pictures among the new ones that are no chips, but photos


def check_chips(folder: Path) -> None:
    """Raise InputError unless a folder has chips."""
    if not folder.is_dir():
        raise InputError(f"--unknown_dir {folder} is not a folder")
    if not list_images(folder):
        raise InputError(f"--unknown_dir {folder} has no pictures of faces: test.py --unknown_dir saves them")


def load_chips(folder: Path, extractor: Extractor) -> Chips:
    """Embed the new chips of a folder and load the features of all. Raises InputError if there are none."""
    make_folder(folder / FEATURES, private=True)
    store = FeatureStore(folder / FEATURES, extractor.fingerprint, align=0)
    work = store.plan([folder.resolve()], overwrite=False)  # which gives "." a name
    embed_people([work], store, Embedder(extractor, store.align, len(work.todo)).embed)
    if problem := work.write_error or work.left_out:
        raise InputError(f"the features of --unknown_dir {folder} cannot be kept: {problem}")
    if not work.entries:
        raise InputError(f"--unknown_dir {folder} has no picture that can be read: {work.skipped[0]}")
    stored = load_person(store.folder, work.name)
    paths = [folder / row.image.name for row in stored.rows()]
    return Chips(paths, stored.matrix, work.skipped, len(work.non_square))


def match_chips(embeddings: Sequence[np.ndarray], chips: Chips, head: Head, threshold: float) -> list[list[ChipMatch]]:
    """The chips that score above the threshold with each face, best first."""
    if not len(embeddings):
        return []
    scores = head.score_gallery(np.stack(embeddings), chips.matrix)
    matches = []
    for row in scores:
        above = np.flatnonzero(row > threshold)
        best = above[np.argsort(-row[above], kind="stable")]
        matches.append([ChipMatch(chips.paths[index], float(row[index])) for index in best])
    return matches


def track_of(chip: Path) -> TrackKey | None:
    """The track that a chip was cut from; None if its name does not say so."""
    named = TRACKED.fullmatch(chip.name)
    return TrackKey(named[1], int(named[2])) if named else None


def sighting_of(match: ChipMatch, events: EventSearch) -> Sighting:
    """Where and when a chip was seen, as far as the events tell. What they do not tell is added to their problems."""
    key = track_of(match.chip)
    seen = events.by_track.get(key) if key else None
    if seen is None:
        seen = Sighting(started=key.started, track=key.track) if key else Sighting()
        if events.files:
            events.problems.append(f"{match.chip}: not joined, because {_missing(key, events)}")
    return replace(seen, chip=match.chip, score=match.score)


def _missing(key: TrackKey | None, events: EventSearch) -> str:
    if key is None:
        return "its name is not one that test.py --unknown_dir gives, so its track is unknown"
    if key.started not in events.runs:
        return f"no --events file tells of its run, {key.started}"
    return f"the events of its run do not have track {key.track}"
