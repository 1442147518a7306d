"""From frame to frame: detect faces, track them, embed those that are due, and name them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from utils import interrupts
from utils.faces.alignment import CHIP_SIZE, face_chip
from utils.faces.detected import DetectedFrame, MeasuredFace, measure_face
from utils.faces.detection import Detector, load_detector
from utils.faces.motion import gray_copy, gray_scale, move_boxes, same_scene, track_boxes
from utils.features.extractor import Extractor
from utils.keras_models import padded_batch_size
from utils.media.camera import LiveSource
from utils.media.frame_worker import FrameWorker
from utils.media.video import Frame
from utils.recognition.gallery import Gallery
from utils.recognition.naming import MAX_OBSERVATIONS, add_observation, is_due, update_names
from utils.recognition.tracks import CONTINUE_SCORE, START_SCORE, Observation, Track, Tracks

MAX_EMBEDDED_AT_ONCE = 4  # faces per frame, which bounds the time that a frame takes
SAME_FACE = 0.5  # probability above which an uncertain face is still the track's own


@dataclass(frozen=True)
class NamedFace:
    """One face in one frame or photo."""

    box: tuple[int, int, int, int]  # x, y, w, h in pixels, inside the image
    name: str | None  # None for unknown
    score: float  # of the name, or of the best candidate: a probability
    track_id: int | None = None  # None in a photo
    kind_known: bool | None = None  # whether strangers of the face's kind are known; None without strangers


@dataclass(frozen=True)
class RecognizedFrame:
    """A frame with its named faces."""

    frame: Frame
    gray: np.ndarray  # the frame's small gray copy, uint8 (h, w), from which boxes are moved to later frames
    faces: list[NamedFace]

    def moved_to(self, frame: Frame) -> list[NamedFace]:
        """The same faces at their places in a later frame of the source."""
        if frame.index == self.frame.index or not self.faces:
            return self.faces
        boxes = move_boxes(self.gray, frame.image, [face.box for face in self.faces])
        return [replace(face, box=box) for box, face in zip(boxes, self.faces, strict=True) if box is not None]


class Recognizer:
    """Recognizes the frames of one source, one after another. Not thread-safe, except for `find`.

    start_score: the detector's score above which a face starts a track.
    image, visible: the newest frame's image and the tracks in it, for callers that act between two frames.
    """

    def __init__(self, detect: Detector, extractor: Extractor, gallery: Gallery, start_score: float = START_SCORE):
        self.detect, self.extractor, self.gallery = detect, extractor, gallery
        self.start_score = start_score
        self.tracks = Tracks()
        self.gray: np.ndarray | None = None
        self.image: np.ndarray | None = None
        self.visible: list[Track] = []
        self.now = 0.0
        # Called with this recognizer after every frame: enrollment saves its faces here.
        self.listeners: list[Callable[[Recognizer], None]] = []

    def find(self, frame: Frame) -> DetectedFrame[MeasuredFace]:
        """Detect the faces of one frame. Several threads may call this at once."""
        faces = [measure_face(frame.image, face) for face in self.detect(frame.image)]
        return DetectedFrame(frame, gray_copy(frame.image), faces)

    def recognize(self, frame: Frame) -> RecognizedFrame:
        """Detect, track and name the faces of the next frame."""
        return self.name(self.find(frame))

    def name(self, detected: DetectedFrame[MeasuredFace]) -> RecognizedFrame:
        """Track and name the faces that `find` detected in the next frame."""
        frame = detected.frame
        self.image, self.now = frame.image, frame.time
        self._move_tracks(detected.gray)
        self.visible = self.tracks.update(detected.faces, self.now, self.start_score)
        self._embed_due_faces()
        self.update_names()
        for listener in self.listeners:
            listener(self)
        return RecognizedFrame(frame, detected.gray, self.named_faces())

    def named_faces(self) -> list[NamedFace]:
        """The faces in the newest frame."""
        return [
            NamedFace(track.face.box, track.name, track.score, track.track_id, track.kind_known)
            for track in self.visible
        ]

    def _move_tracks(self, gray: np.ndarray) -> None:
        if self.gray is not None and not same_scene(self.gray, gray):
            self.tracks.cut()
        elif self.tracks.alive:
            boxes = np.array([track.box for track in self.tracks.alive])
            self.tracks.move(track_boxes(self.gray, gray, boxes, gray_scale(gray, self.image)))
        self.gray = gray

    def _embed_due_faces(self) -> None:
        """Embed the faces that are due in one call of each network: new and uncertain ones, then the longest waiting.

        An uncertain face that turns out to be another one starts a new track.
        """
        due = sorted((track for track in self.visible if is_due(track, self.now)), key=_waiting_since)
        due = due[:MAX_EMBEDDED_AT_ONCE]
        if not due:
            return
        embeddings = self.extractor.embed([face_chip(self.image, track.face) for track in due])
        if self.gallery.admit(embeddings, [observation.embedding for observation in self._observations()]):
            self.rescore()
        compared = zip(due, embeddings, *self.gallery.compare(embeddings), strict=True)
        for track, embedding, scores, familiarity in compared:
            if track.uncertain and not self._is_same_face(track, embedding):
                restarted = self.tracks.restart(track)
                self.visible[self.visible.index(track)] = track = restarted
            track.uncertain = False
            observation = Observation(embedding, scores, track.face.quality, self.now, float(familiarity))
            add_observation(track, observation, self.gallery)

    def _is_same_face(self, track: Track, embedding: np.ndarray) -> bool:
        """Whether the head takes an embedding (D,) and the track's observations for the same person."""
        if not track.observations:
            return True
        observed = np.stack([observation.embedding for observation in track.observations])
        same = self.gallery.head.score_pairs(observed, np.repeat(embedding[None], len(observed), axis=0))
        return float(same.mean()) > SAME_FACE

    def _observations(self) -> list[Observation]:
        return [observation for track in self.tracks.alive for observation in track.observations]

    def update_names(self) -> None:
        """Update the names of the faces in the newest frame."""
        update_names([track for track in self.visible if track.observations], self.gallery)

    def rescore(self) -> None:
        """Score all observations again, after the people with whom the gallery compares faces have changed."""
        observations = self._observations()
        for track in self.tracks.alive:
            track.log_odds = None
        if observations:
            embeddings = np.stack([observation.embedding for observation in observations])
            for observation, *values in zip(observations, *self.gallery.compare(embeddings), strict=True):
                observation.scores, observation.familiarity = values

    @interrupts.deferred()
    def warm_up(self) -> None:
        """Compile the networks for every batch size that `recognize` can need."""
        for count in sorted({padded_batch_size(count) for count in range(1, MAX_OBSERVATIONS + 1)}):
            rows = np.zeros((count, self.extractor.dimension), np.float32)
            self.gallery.head.score_pairs(rows, rows)
        for count in sorted({padded_batch_size(count) for count in range(1, MAX_EMBEDDED_AT_ONCE + 1)}):
            chips = [np.zeros((CHIP_SIZE, CHIP_SIZE, 3), np.uint8)] * count
            self.gallery.identify(self.extractor.embed(chips))


def _waiting_since(track: Track) -> float:
    """The time of the last observation in seconds; of a new or uncertain face, −∞."""
    return -np.inf if track.uncertain or not track.observations else track.observations[-1].time


def load_recognizer(
    gallery: Gallery,
    extractor: Extractor,
    detector: str,
    min_size: int,
    align: bool,
    width: int,
    threads: int = 0,
    precision: str = "float32",
) -> Recognizer:
    """Load a detector and build a Recognizer with it.

    gallery: the people to recognize. extractor: the one that made the gallery's features. Others: see
    `load_frame_detector`.
    """
    detect = load_frame_detector(detector, min_size, align, width, threads, precision)
    return Recognizer(detect, extractor, gallery, start_score(detector))


def load_frame_detector(
    detector: str, min_size: int, align: bool, width: int, threads: int = 0, precision: str = "float32"
) -> Detector:
    """Load the detector of a Recognizer.

    Args:
      detector: "retinaface" or "dlib".
      min_size: pixels; narrower and lower faces are ignored.
      align: whether to cut upright chips, rather than the plain boxes of the original recipe.
      width: pixels; wider frames are searched for faces in a smaller copy.
      threads: that share the search of one frame; 0 for one per core. Use 1 if several frames are searched at once.
      precision: one of `utils.cli.PRECISIONS`.
    """
    return load_detector(detector, min_size, align, width, CONTINUE_SCORE, threads, precision)


def start_score(detector: str) -> float:
    """The score above which a face starts a track: dlib's have no upper bound, and all that it finds is reliable."""
    return -np.inf if detector == "dlib" else START_SCORE


class BackgroundRecognizer(FrameWorker):
    """A recognizer in its own thread, which always takes a camera's newest frame.

    `finished` returns every RecognizedFrame since the last call.
    """

    ready = True  # the faces have names

    def __init__(self, recognizer: Recognizer, camera: LiveSource):
        super().__init__(recognizer.recognize, camera, "recognizer")
