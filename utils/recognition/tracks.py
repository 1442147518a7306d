"""Tracking: which face of this frame is which face of the frames before.

Works on boxes, times and thumbnails alone, without networks. Detections are matched to tracks by overlap, in two
rounds as in Zhang et al., "ByteTrack: Multi-object tracking by associating every detection box" (2022): first
those with a high score, then those with a low one, which can continue a track but not start one.
"""

from dataclasses import dataclass, field

import numpy as np

from utils.faces.boxes import overlap_matrix
from utils.faces.detected import MeasuredFace
from utils.faces.quality import thumbnail_distance
from utils.recognition.cohort import is_kind_known

MIN_OVERLAP = 0.3  # intersection over union of a track and its detection
MAX_ABSENCE = 2.0  # seconds out of sight after which a track ends
UNCERTAIN_ABSENCE = 0.15  # seconds out of sight after which another person may be in the same place
START_SCORE = 0.8  # detection score, 0-1, above which a detection starts a track
CONTINUE_SCORE = 0.5  # detection score, 0-1, from which a detection continues a track
# Thumbnail distance above which a track may show another face. In a video, thumbnails of one face in neighboring
# frames are at most 0.74 apart; with one frame skipped, 99 % are within 0.77. Two drawn people in the same place
# are at least 0.94 apart.
CHANGED_FACE = 0.8


@dataclass
class Observation:
    """One embedding of a tracked face."""

    embedding: np.ndarray  # float32 (D,)
    scores: np.ndarray  # of the people in the gallery, float32 (p,)
    quality: float  # of the face, 0-1
    time: float  # seconds since the start of the source
    familiarity: float = np.nan  # see Gallery.compare


@dataclass(eq=False)
class Track:
    """One face over time."""

    track_id: int  # counts from 1 and is never reused
    face: MeasuredFace  # as last detected
    box: np.ndarray  # x, y, w, h in the newest frame, float (4,)
    last_seen: float  # seconds since the start of the source, of the last detection
    uncertain: bool = False  # it was out of sight or suddenly looks different, so it may be another face
    observations: list[Observation] = field(default_factory=list)  # oldest first
    log_odds: np.ndarray | None = None  # of each person over all observations, float (p,); None if out of date
    name: str | None = None  # None for unknown
    score: float = 0.0  # of the name, or of the best candidate: a probability
    contradictions: int = 0  # newest observations in a row that contradict the name
    denied: set[str] = field(default_factory=set)  # names that the user rejected

    @property
    def kind_known(self) -> bool | None:
        """See is_kind_known."""
        return is_kind_known([observation.familiarity for observation in self.observations])


class Tracks:
    """All faces that are in sight or were a moment ago."""

    def __init__(self):
        self.alive: list[Track] = []
        self.last_id = 0

    def move(self, boxes: np.ndarray) -> None:
        """Set the box of every track, float (t, 4) in the order of `alive`, to its place in a new frame."""
        for track, box in zip(self.alive, boxes, strict=True):
            track.box = np.asarray(box, float)

    def cut(self) -> None:
        """Drop all tracks: the video cut to another scene."""
        self.alive = []

    def update(self, faces: list[MeasuredFace], now: float, start_score: float = START_SCORE) -> list[Track]:
        """Match the faces of a frame to the tracks, and return the tracks in sight.

        Faces with a low score that continue no track are ignored.

        Args:
          faces: of the frame that the boxes of the tracks have been moved to.
          now: seconds since the start of the source.
          start_score: the detector's score above which a face starts a track.
        """
        self.alive = [track for track in self.alive if now - track.last_seen <= MAX_ABSENCE]
        high = [index for index, face in enumerate(faces) if face.score > start_score]
        low = [index for index, face in enumerate(faces) if face.score <= start_score]
        matches: dict[int, Track] = {}
        for candidates in (high, low):
            free = [track for track in self.alive if track not in matches.values()]
            boxes = np.array([faces[index].box for index in candidates], float).reshape(-1, 4)
            for row, column in associate(np.array([track.box for track in free]).reshape(-1, 4), boxes):
                matches[candidates[column]] = free[row]
        for index in high:
            # Low scores start no track: most are no face, or copies of one that is already tracked.
            if index not in matches:
                matches[index] = self._start(faces[index], now)
        for index, track in matches.items():
            face = faces[index]
            track.uncertain |= now - track.last_seen > UNCERTAIN_ABSENCE
            track.uncertain |= thumbnail_distance(track.face.thumbnail, face.thumbnail) > CHANGED_FACE
            track.face, track.box, track.last_seen = face, np.array(face.box, float), now
        return [matches[index] for index in sorted(matches)]

    def restart(self, track: Track) -> Track:
        """End a track that turned out to show another face, and start a new one with that face."""
        self.alive.remove(track)
        return self._start(track.face, track.last_seen)

    def _start(self, face: MeasuredFace, now: float) -> Track:
        self.last_id += 1
        self.alive.append(Track(self.last_id, face, np.array(face.box, float), now))
        return self.alive[-1]


def associate(tracked: np.ndarray, detected: np.ndarray) -> list[tuple[int, int]]:
    """Pair boxes (t, 4) with boxes (n, 4), both x, y, w, h: best overlap first, each box at most once.

    Returns pairs of indices whose intersection over union is at least MIN_OVERLAP.
    """
    overlaps = overlap_matrix(tracked, detected)
    pairs = []
    while overlaps.size and overlaps.max() >= MIN_OVERLAP:
        row, column = (int(index) for index in np.unravel_index(overlaps.argmax(), overlaps.shape))
        pairs.append((row, column))
        overlaps[row, :] = overlaps[:, column] = -1
    return pairs
