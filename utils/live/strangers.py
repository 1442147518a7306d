"""Learn the strangers that come by: their features, never their pictures, for the cohort of the gallery.

They are kept in the features folder, in `_learned`. Deleting that folder forgets them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import InputError, counted, describe_error, warn
from utils.features.feature_files import LEARNED, ImageEntry, feature_path, load_person, save_person
from utils.files import put_aside
from utils.recognition.gallery import Gallery
from utils.recognition.recognizer import Recognizer
from utils.recognition.tracks import Track

MAX_LEARNED = 2000  # the oldest are forgotten first
MIN_OBSERVATIONS = 3  # of a face, or it is not learned
# The probability of every enrolled person, in every observation, below which a face is a stranger's. An enrolled
# person who was learned would be rejected from then on.
MAX_PROBABILITY = 0.5
SAME_STRANGER = 0.5  # the probability above which a stranger has been learned already


@dataclass(frozen=True)
class StoredStrangers:
    """The strangers that earlier runs learned."""

    matrix: np.ndarray  # features, float32 (n, D)
    problem: str | None = None  # why the stored file is not used


class LearnedStrangers:
    """Adds the face of every track that ends without any likeness to an enrolled person to a gallery's strangers."""

    def __init__(self, folder: Path, gallery: Gallery, fingerprint: str, stored: StoredStrangers):
        """folder: of the features. fingerprint: of the extractor. stored: the gallery has them already."""
        self.folder, self.gallery, self.fingerprint, self.stored = folder, gallery, fingerprint, stored
        self.learned = stored.matrix
        self.new = 0
        self._tracks: dict[int, Track] = {}  # in sight, or a moment ago
        self._named: set[int] = set()  # those of them that had a name at some time

    def __call__(self, recognizer: Recognizer) -> None:
        """Look at the tracks in the newest frame: a listener of the recognizer."""
        self._tracks |= {track.track_id: track for track in recognizer.visible}
        self._named |= {track.track_id for track in recognizer.visible if track.name is not None}
        self._learn(self._tracks.keys() - {track.track_id for track in recognizer.tracks.alive})

    def _learn(self, track_ids: Iterable[int]) -> None:
        rows = []
        for track_id in sorted(track_ids):
            track = self._tracks.pop(track_id)
            if track_id not in self._named and is_stranger(track):
                rows.append(max(track.observations, key=lambda observation: observation.quality).embedding)
            self._named.discard(track_id)
        for row in rows:
            if not self._is_known(row):
                self.learned = np.concatenate([self.learned, row[None]])[-MAX_LEARNED:]
                self.gallery.add_strangers(row[None])
                self.new += 1

    def _is_known(self, row: np.ndarray) -> bool:
        """Whether a face, float32 (D,), is of a stranger who has been learned already."""
        head = self.gallery.head
        # Not score_gallery: the head keeps the projection of the last gallery, which the next frame needs again.
        scores = head.score_projected(head.project(row[None]), head.project(self.learned))
        return bool(scores.max(initial=0.0) > SAME_STRANGER)

    def save(self) -> None:
        """Learn the faces whose tracks have not ended, and write all of them. Raises InputError or OSError."""
        self._learn(list(self._tracks))
        if self.new:
            if self.stored.problem:
                path = feature_path(self.folder, LEARNED)
                put_aside(path)
                put_aside(path.with_suffix(".json"))
            entries = [ImageEntry(f"{index}", 0, 0) for index in range(len(self.learned))]  # there are no pictures
            save_person(self.folder, LEARNED, self.learned, entries, self.fingerprint, align=0)
            print(
                f"{counted(self.new, 'stranger')} learned, {len(self.learned)} in all; to forget them, delete "
                f"{self.folder / LEARNED}"
            )


def is_stranger(track: Track) -> bool:
    """Whether no observation of a face looks like an enrolled person."""
    scores = [observation.scores.max(initial=0.0) for observation in track.observations]
    return len(scores) >= MIN_OBSERVATIONS and max(scores) < MAX_PROBABILITY


def load_learned(folder: Path, fingerprint: str, dimension: int) -> StoredStrangers:
    """The strangers learned so far with an extractor of this fingerprint and dimension, none if there are no others.

    A file that cannot be used is left out with a warning.
    """
    none, path = np.empty((0, dimension), np.float32), feature_path(folder, LEARNED)
    try:
        stored = load_person(folder, LEARNED)
    except FileNotFoundError:
        return StoredStrangers(none)
    except (InputError, OSError) as exc:
        problem = describe_error(exc)
    else:
        if stored.manifest and stored.manifest.extractor == fingerprint:
            return StoredStrangers(stored.matrix)
        origin = stored.manifest.extractor if stored.manifest else "an unknown extractor"
        problem = stored.problem or f"{path} comes from {origin}, not from {fingerprint}"
    warn(f"left out: {problem}. It is kept, as {path.stem}.1{path.suffix}, when new strangers are learned")
    return StoredStrangers(none, problem)
