"""Faces followed from picture to picture: which face found now is which face found before.

Pure bookkeeping of boxes and times, without pictures or networks. Detections are associated with
tracks by overlap, in two rounds as in Zhang et al., "ByteTrack: Multi-object tracking by associating
every detection box" (2022): sure ones first, then weak ones, which may go on a track but not begin one.
"""

from dataclasses import dataclass, field

import numpy as np

from utils.faces.alignment import Face
from utils.faces.boxes import overlap_matrix

MIN_OVERLAP = 0.3  # intersection over union from which a detection can be a track's
MEMORY = 2.0  # seconds that a face may be out of sight and still go on its track
ABSENCE = 0.15  # seconds out of sight after which it could as well be somebody else in the same place
SURE_SCORE = 0.8  # of a detection that begins a track, 0-1
WEAK_SCORE = 0.5  # of one that goes on a track


@dataclass
class Observation:
    """One embedding of a face, float32 (D,).

    scores: the persons', float32 (p,). quality: of the face, 0-1. time: seconds.
    """

    embedding: np.ndarray
    scores: np.ndarray
    quality: float
    time: float


@dataclass(eq=False)
class Track:
    """One face over time.

    track_id: from 1, never used twice. face: as last detected. box: float (4,), x, y, w, h, where
    it is now. quality: of the face as last detected, 0-1. first, last: seconds, when it was detected.
    thumbnail: what the face looked like last. uncertain: it was out of sight or looks very different, and
    whether it is the same face is not known yet. observations: embeddings of it. odds: the persons' log odds,
    float (p,), over all observations, None where they must be computed anew. name, score: who it is by these, None
    for unknown, and the best candidate's probability. denied: names that the user took from it.
    """

    track_id: int
    face: Face
    box: np.ndarray
    quality: float
    first: float
    last: float
    thumbnail: np.ndarray | None = None
    uncertain: bool = False
    observations: list[Observation] = field(default_factory=list)
    odds: np.ndarray | None = None
    name: str | None = None
    score: float = 0.0
    contradictions: int = 0
    denied: set[str] = field(default_factory=set)


class Tracks:
    """All faces that are or were just in sight."""

    def __init__(self):
        self.alive: list[Track] = []
        self.count = 0

    def move(self, boxes: np.ndarray) -> None:
        """Put every track's box, float (t, 4) in the order of `alive`, where it is in a new picture."""
        for track, box in zip(self.alive, boxes, strict=True):
            track.box = np.asarray(box, float)

    def cut(self) -> None:
        """Forget all: the picture is of another scene."""
        self.alive = []

    def update(self, faces: list[Face], qualities: list[float], now: float, sure: float = SURE_SCORE) -> list[Track]:
        """Associate the faces found in a picture; returns the tracks in sight, of weak new faces none.

        The tracks' boxes must have been moved to this picture. now: seconds. sure: the score, of the
        detector's own scale, that begins a track.
        """
        self.alive = [track for track in self.alive if now - track.last <= MEMORY]
        strong = [index for index, face in enumerate(faces) if face.score > sure]
        weak = [index for index, face in enumerate(faces) if face.score <= sure]
        taken: dict[int, Track] = {}
        for round_ in (strong, weak):
            free = [track for track in self.alive if track not in taken.values()]
            boxes = np.array([faces[index].box for index in round_], float).reshape(-1, 4)
            for row, column in associate(np.array([track.box for track in free]).reshape(-1, 4), boxes):
                taken[round_[column]] = free[row]
        for index in strong:
            # Weak ones begin no track: most of them are copies of a face that is followed already, or none.
            if index not in taken:
                taken[index] = self._begin(faces[index], now)
        for index, track in taken.items():
            track.face, track.box = faces[index], np.array(faces[index].box, float)
            track.uncertain |= now - track.last > ABSENCE
            track.quality, track.last = qualities[index], now
        return [taken[index] for index in sorted(taken)]

    def renew(self, track: Track) -> Track:
        """The track turned out to be of another face: it ends, and a new one begins with what was seen last."""
        self.alive.remove(track)
        new = self._begin(track.face, track.last)
        new.box, new.quality, new.thumbnail = track.box, track.quality, track.thumbnail
        return new

    def _begin(self, face: Face, now: float) -> Track:
        self.count += 1
        self.alive.append(Track(self.count, face, np.zeros(4), 0.0, now, now))
        return self.alive[-1]


def associate(before: np.ndarray, found: np.ndarray) -> list[tuple[int, int]]:
    """Pair boxes (t, 4) with boxes (n, 4), both x, y, w, h, best overlap first, each at most once.

    Returns pairs of indices whose intersection over union is at least MIN_OVERLAP.
    """
    overlaps = overlap_matrix(before, found)
    pairs = []
    while overlaps.size and overlaps.max() >= MIN_OVERLAP:
        row, column = (int(index) for index in np.unravel_index(overlaps.argmax(), overlaps.shape))
        pairs.append((row, column))
        overlaps[row, :] = overlaps[:, column] = -1
    return pairs
