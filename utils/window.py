"""A window on the screen, and the check that there is a screen."""

import os
import subprocess
import sys
import time

import numpy as np

from utils.cli import InputError

NO_SCREEN = "there is no screen to open a window on: use --headless"


def check_screen() -> None:
    """Raise InputError unless a window can be opened.

    Qt does not fail without a screen, it aborts the process. So another process tries first: that
    covers a missing display, a refused one, and system libraries that Qt's plugin lacks.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(f"{NO_SCREEN} (neither DISPLAY nor WAYLAND_DISPLAY is set)")
    trial = "import cv2; cv2.namedWindow('trial'); cv2.destroyAllWindows()"
    try:
        result = subprocess.run([sys.executable, "-c", trial], capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise InputError(f"{NO_SCREEN} (it does not answer)") from None
    if result.returncode:
        reason = result.stderr.strip().splitlines() or ["no reason given"]
        raise InputError(f"{NO_SCREEN} ({reason[0]})")


class Window:
    """A resizable window that shows RGB uint8 images (H, W, 3) and tells which key was pressed."""

    def __init__(self, title: str, size_wh: tuple[int, int]):
        # Qt's wheel has no fonts of its own and says so for every window; we draw our own text.
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
        import cv2

        self.cv2 = cv2
        self.title = title
        self.due = time.monotonic()
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(title, *size_wh)

    def show(self, image: np.ndarray, interval: float = 0.0) -> str:
        """Show an image for at least `interval` seconds since the last; 0 does not wait.

        Returns the key that was pressed as a character, "q" when Esc was or the window was closed, else "".
        """
        cv2 = self.cv2
        cv2.imshow(self.title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        now = time.monotonic()
        self.due = max(self.due + interval, now)
        return self._key(max(1, int((self.due - now) * 1000)))

    def wait(self) -> str:
        """Keep showing what is shown until a key is pressed or the window is closed: for photos."""
        while not (key := self._key(50)):
            pass
        return key

    def _key(self, milliseconds: int) -> str:
        key = self.cv2.waitKey(milliseconds) & 0xFF
        if key == 27 or self._is_closed():
            return "q"
        return "" if key == 0xFF else chr(key)

    def _is_closed(self) -> bool:
        try:
            return self.cv2.getWindowProperty(self.title, self.cv2.WND_PROP_VISIBLE) < 1
        except self.cv2.error:  # Qt is gone with its last window
            return True

    def close(self) -> None:
        self.cv2.destroyAllWindows()
