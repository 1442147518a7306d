"""Recognize photos, each by itself, with all that enrollment needs."""

import numpy as np

from utils.faces.alignment import face_chip
from utils.faces.detected import measure_face
from utils.faces.detection import Detector
from utils.features.extractor import Extractor
from utils.media.video import Frame
from utils.recognition.gallery import Gallery
from utils.recognition.recognizer import NamedFace, Recognizer
from utils.recognition.tracks import Observation, Track


class PhotoRecognizer(Recognizer):
    """A Recognizer for photos: no face is tracked. `visible` has the faces of the photo looked at last."""

    def __init__(self, detect: Detector, extractor: Extractor, gallery: Gallery):
        super().__init__(detect, extractor, gallery)
        self._denied: dict[int, list[set[str]]] = {}  # by photo: the names that the user rejected, for each face

    def recognize_photo(self, photo: Frame) -> list[NamedFace]:
        """Detect and name the faces of a photo."""
        self.image = photo.image
        found = self.detect(photo.image)
        embeddings = self.extractor.embed([face_chip(photo.image, face) for face in found])
        denied = self._denied.setdefault(photo.index, [set() for _ in found])
        self.visible = []
        self.gallery.admit(embeddings)
        scores, familiarity = self.gallery.compare(embeddings)
        for index, embedding in enumerate(embeddings):
            face = measure_face(photo.image, found[index])
            track = Track(index + 1, face, np.array(face.box, float), last_seen=0.0, denied=denied[index])
            track.observations.append(
                Observation(embedding, scores[index], face.quality, 0.0, float(familiarity[index]))
            )
            self.visible.append(track)
        self.tracks.alive = self.visible
        self.update_names()
        return self.refresh()

    def refresh(self) -> list[NamedFace]:
        """The faces of the same photo again, after the listeners have acted."""
        for listener in self.listeners:
            listener(self)
        return self.named_faces()

    def update_names(self) -> None:
        """Decide on the faces of the photo."""
        scores = np.array([track.observations[-1].scores for track in self.visible], np.float32)
        for row, track in enumerate(self.visible):
            scores[row, [self.gallery.index_of[name] for name in track.denied if name in self.gallery.index_of]] = 0
        for track, decision in zip(self.visible, self.gallery.decide(scores), strict=True):
            track.name, track.score = decision.name, decision.score
