"""Collects faces of people who pass by, one of each, for the strangers that test.py compares faces with."""

from dataclasses import replace

from utils.capture.collector import MAX_COMPARED, CaptureState, Collector
from utils.capture.same_person import MAX_DISTANCE
from utils.faces.alignment import Face, face_chip
from utils.faces.quality import rejection_reason, thumbnail
from utils.media.video import Frame

KNOWN = "this person is saved"  # the reason not to save a face
MAX_STRANGERS = 100  # faces of earlier runs to compare with; describing them takes 8 s


class StrangerCollector(Collector):
    """Saves, unasked, the first good face of everybody who resembles nobody saved before."""

    def toggle_guide(self) -> None:
        """Nobody poses."""

    def process_frame(self, frame: Frame, faces: list[Face]) -> CaptureState:
        """Save the largest face that is good enough and new; at most one a frame, since comparing takes 0.08 s."""
        self._index, self._now = frame.index, frame.time
        state = CaptureState(faces, None, "no face seen")
        for face in sorted(faces, key=lambda face: -face.box[3]):
            chip = face_chip(frame.image, face)
            # Of a face that looks like one that was compared lately, the answer is known.
            judged = self._judged[-MAX_COMPARED:]
            reason = rejection_reason(frame.image, face, chip, judged) if self.gate else None
            if reason is None:
                self._judged.append(thumbnail(chip))
                if self.same_person.distance(chip) > MAX_DISTANCE:
                    return self._save(replace(state, chip=chip))
                reason = KNOWN
            state = replace(state, reason=reason)
        return state
