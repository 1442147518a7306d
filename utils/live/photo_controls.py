"""The keys of test.py's window for photos: those of a camera's window, and others to go from photo to photo."""

import numpy as np

from utils.display import drawing
from utils.display.window import ENTER, LEFT, RIGHT
from utils.live.controls import KEYS, LiveControls
from utils.recognition.recognizer import NamedFace

PHOTO_KEYS = (KEYS[0], ("space", "next"), ("b", "back"), *KEYS[2:])
NEXT_KEYS, BACK_KEYS = (" ", ENTER, RIGHT), ("b", LEFT)


class PhotoControls(LiveControls):
    """The controls of a Screen that shows photos."""

    keys = PHOTO_KEYS
    title = ""  # of the photo shown
    step = 0  # from the photo shown to the one that a key asks for: 1 or -1, else 0

    def turn_to(self, title: str) -> None:
        """Show another photo."""
        self.title, self.step, self.chosen = title, 0, None

    def act(self, key: str) -> None:
        """Go to the next photo or back."""
        if not self.loading:
            self.step = 1 if key in NEXT_KEYS else -1 if key in BACK_KEYS else 0

    def is_numbered(self, faces: list[NamedFace]) -> bool:
        """Whether a number chooses a face: there are several."""
        return len(faces) > 1

    def _draw_status(self, picture: np.ndarray, faces: list[NamedFace], latency: float | None) -> int:
        """Draw the bar at the bottom, and return its height."""
        keys = self._shown_keys()
        if keys == self.keys and self.is_numbered(faces):
            keys = (*keys[:-1], (f"1-{min(len(faces), 9)}, click", "choose"), keys[-1])
        return drawing.draw_status(picture, self.title, "", keys)
