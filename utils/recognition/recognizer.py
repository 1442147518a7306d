"""From one picture to the next: faces found, followed, looked at when due, and named."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from utils.faces.alignment import CHIP_SIZE, Face, face_chip, warp_chip
from utils.faces.detection import Detector, load_detector
from utils.faces.motion import gray_copy, gray_scale, move_boxes, same_scene, track_boxes
from utils.faces.quality import quality, thumbnail, thumbnail_distance
from utils.features.extractor import Extractor
from utils.keras_models import padded_batch_size
from utils.media.frame_worker import FrameWorker
from utils.media.video import Frame
from utils.recognition.gallery import Gallery
from utils.recognition.naming import MAX_OBSERVATIONS, add_observation, is_due, update_names
from utils.recognition.tracks import SURE_SCORE, WEAK_SCORE, Observation, Track, Tracks

MAX_EMBEDDED_AT_ONCE = 4  # embeddings a picture, which bounds the time that it takes
SAME_FACE = 0.5  # probability above which an uncertain face is the one that its track had
THUMBNAIL_SIZE = 32  # pixels of the chips that are compared from picture to picture
# Of neighboring pictures' thumbnails: those of one face in a film differ by 0.74 at most, by 0.77 in 99 of 100
# with a picture left out between them; those of two drawn people in the same place by 0.94 and more.
CHANGED = 0.8


@dataclass(frozen=True)
class NamedFace:
    """One face in one picture.

    box: x, y, w, h in whole pixels, inside the picture. name: None for unknown. score: of the name, or
    of the best candidate, a probability. track_id: the number of the face that is followed, None in photos.
    """

    box: tuple[int, int, int, int]
    name: str | None
    score: float
    track_id: int | None = None


@dataclass(frozen=True)
class RecognizedFrame:
    """What was seen in a frame: its small gray copy is what the boxes are moved on from."""

    frame: Frame
    gray: np.ndarray
    faces: list[NamedFace]

    def moved_to(self, frame: Frame) -> list[NamedFace]:
        """The same faces where they are in a later frame of the source."""
        if frame.index == self.frame.index or not self.faces:
            return self.faces
        boxes = move_boxes(self.gray, frame.image, [face.box for face in self.faces])
        return [
            NamedFace(box, face.name, face.score, face.track_id)
            for box, face in zip(boxes, self.faces, strict=True)
            if box is not None
        ]


@dataclass(frozen=True)
class DetectedFrame:
    """What one frame shows by itself, before it is known what came before.

    gray: its small gray copy. faces, qualities, thumbnails: of each face that was found.
    """

    frame: Frame
    gray: np.ndarray
    faces: list[Face]
    qualities: list[float]
    thumbnails: list[np.ndarray]


class Recognizer:
    """Recognizes frame after frame of one source. Only one thread may use it at a time.

    sure_score: of the detector, from which a detection begins a track. image, visible: the newest
    picture and the tracks in it, for whoever acts on them between two pictures.
    """

    def __init__(self, detect: Detector, extractor: Extractor, gallery: Gallery, sure_score: float = SURE_SCORE):
        self.detect, self.extractor, self.gallery = detect, extractor, gallery
        self.sure_score = sure_score
        self.tracks = Tracks()
        self.gray: np.ndarray | None = None
        self.image: np.ndarray | None = None
        self.visible: list[Track] = []
        self.now = 0.0
        # Called after every picture, with this recognizer: enrollment saves its faces here.
        self.listeners: list[Callable[[Recognizer], None]] = []

    def find(self, frame: Frame) -> DetectedFrame:
        """Find the faces of one frame. For any thread, and for several frames at a time."""
        faces = self.detect(frame.image)
        return DetectedFrame(
            frame,
            gray_copy(frame.image),
            faces,
            [quality(frame.image, face) for face in faces],
            [thumbnail(warp_chip(frame.image, face.transform, THUMBNAIL_SIZE)) for face in faces],
        )

    def recognize(self, frame: Frame) -> RecognizedFrame:
        """Find, follow and name the faces of the next frame."""
        return self.name(self.find(frame))

    def name(self, found: DetectedFrame) -> RecognizedFrame:
        """Follow and name the faces that were found in the next frame."""
        frame = found.frame
        self.image, self.now = frame.image, frame.time
        self._follow(found.gray)
        self.visible = self.tracks.update(found.faces, found.qualities, self.now, self.sure_score)
        self._doubt({id(face): seen for face, seen in zip(found.faces, found.thumbnails, strict=True)})
        self._look()
        self.update_names()
        for listener in self.listeners:
            listener(self)
        return RecognizedFrame(frame, found.gray, [_seen(track) for track in self.visible])

    def _follow(self, gray: np.ndarray) -> None:
        if self.gray is not None and not same_scene(self.gray, gray):
            self.tracks.cut()
        elif self.tracks.alive:
            boxes = np.array([track.box for track in self.tracks.alive])
            self.tracks.move(track_boxes(self.gray, gray, boxes, gray_scale(gray, self.image)))
        self.gray = gray

    def _doubt(self, thumbnails: dict[int, np.ndarray]) -> None:
        """Doubt the tracks whose face suddenly looks different: it may be another one in the same place."""
        for track in self.visible:
            seen = thumbnails[id(track.face)]
            track.uncertain |= track.thumbnail is not None and thumbnail_distance(track.thumbnail, seen) > CHANGED
            track.thumbnail = seen

    def _look(self) -> None:
        """Embed the faces that are due, in one call of each network: in doubt or new, then who waited longest."""
        due = [track for track in self.visible if is_due(track, self.now)]
        due.sort(
            key=lambda track: track.observations[-1].time if track.observations and not track.uncertain else -np.inf
        )
        due = due[:MAX_EMBEDDED_AT_ONCE]
        if not due:
            return
        embeddings = self.extractor.embed([face_chip(self.image, track.face) for track in due])
        for track, embedding, scores in zip(due, embeddings, self.gallery.scores(embeddings), strict=True):
            if track.uncertain and not self._is_same(track, embedding):
                renewed = self.tracks.renew(track)
                self.visible[self.visible.index(track)] = track = renewed
            track.uncertain = False
            add_observation(track, Observation(embedding, scores, track.quality, self.now), self.gallery)

    def _is_same(self, track: Track, embedding: np.ndarray) -> bool:
        """Whether a face is the one that was looked at before, as the similarity head sees it."""
        if not track.observations:
            return True
        before = np.stack([look.embedding for look in track.observations])
        same = self.gallery.head.score_pairs(before, np.repeat(embedding[None], len(before), axis=0))
        return float(same.mean()) > SAME_FACE

    def update_names(self) -> None:
        """Decide on the names of the faces in the newest picture."""
        update_names([track for track in self.visible if track.observations], self.gallery)

    def warm_up(self) -> None:
        """Compile the networks for every number of faces that `recognize` will ask of them."""
        for count in sorted({padded_batch_size(count) for count in range(1, MAX_OBSERVATIONS + 1)}):
            rows = np.zeros((count, self.extractor.dimension), np.float32)
            self.gallery.head.score_pairs(rows, rows)
        for count in sorted({padded_batch_size(count) for count in range(1, MAX_EMBEDDED_AT_ONCE + 1)}):
            chips = [np.zeros((CHIP_SIZE, CHIP_SIZE, 3), np.uint8)] * count
            self.gallery.scores(self.extractor.embed(chips))

    def rescore(self) -> None:
        """Compare all observations with the gallery anew: after somebody was added to it or taken out."""
        observations = [observation for track in self.tracks.alive for observation in track.observations]
        for track in self.tracks.alive:
            track.odds = None
        if observations:
            embeddings = np.stack([each.embedding for each in observations])
            for observation, scores in zip(observations, self.gallery.scores(embeddings), strict=True):
                observation.scores = scores


def _seen(track: Track) -> NamedFace:
    return NamedFace(track.face.box, track.name, track.score, track.track_id)


def recognize_photo(image: np.ndarray, detect: Detector, extractor: Extractor, gallery: Gallery) -> list[NamedFace]:
    """The faces of one RGB uint8 picture (H, W, 3) that belongs to no film."""
    faces = detect(image)
    decisions = gallery.identify(extractor.embed([face_chip(image, face) for face in faces]))
    return [NamedFace(face.box, each.name, each.score) for face, each in zip(faces, decisions, strict=True)]


def load_recognizer(
    gallery: Gallery, extractor: Extractor, detector: str, min_size: int, align: bool, width: int, threads: int = 0
) -> Recognizer:
    """A Recognizer whose detector searches pictures at most `width` pixels wide.

    threads: that share the search of one picture, 0 for one a processor core; 1 where several are searched
    at a time.
    """
    is_dlib = detector == "dlib"
    detect = load_detector(detector, min_size, align, width, WEAK_SCORE, threads)
    # dlib's scores have no upper end, and what it finds at all is sure enough.
    return Recognizer(detect, extractor, gallery, -np.inf if is_dlib else SURE_SCORE)


class BackgroundRecognizer(FrameWorker):
    """A recognizer in a thread of its own that always takes a camera's newest frame.

    `finished` hands over every RecognizedFrame since the last call.
    """

    def __init__(self, recognizer: Recognizer, camera):
        super().__init__(recognizer.recognize, camera, "recognizer")
