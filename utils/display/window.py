"""A window and its keys, and the check that there is a screen to open it on."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np

from utils.cli import InputError

# What Window.wait_key returns for keys that write nothing, and for a closed window.
ESCAPE, ENTER, BACKSPACE, SHIFT, CAPS_LOCK, CLOSED = "escape", "enter", "backspace", "shift", "caps lock", "closed"
LEFT, RIGHT = "left", "right"  # the arrows
_NAMED_KEYS = {27: ESCAPE, 13: ENTER, 10: ENTER, 8: BACKSPACE, 127: BACKSPACE}
_NAMED_KEYS |= {0xFFE1: SHIFT, 0xFFE2: SHIFT, 0xFFE5: CAPS_LOCK, 0xFF51: LEFT, 0xFF53: RIGHT}
# X11's dead keys, which put an accent on the next letter, as Unicode's combining accents.
_DEAD_KEYS = {0xFE50: "\u0300", 0xFE51: "\u0301", 0xFE52: "\u0302", 0xFE53: "\u0303", 0xFE57: "\u0308"}
_DEAD_KEYS |= {0xFE58: "\u030a", 0xFE59: "\u030b", 0xFE5A: "\u030c", 0xFE5B: "\u0327", 0xFE5C: "\u0328"}
UNICODE_KEYS = 0x1000000  # X11's key codes from here on are Unicode characters

MAX_SIZE_WH = 1280, 800  # pixels; a window of this size fits on most screens

NO_SCREEN = "there is no screen to open a window on: use --headless"


def start_screen_check() -> Callable[[], None]:
    """Start to check that a window can be opened. Returns a function that ends the check: it raises InputError if not.

    Without a screen Qt does not raise an error, it aborts the process, so a child process tries first. This
    notices a missing display, one that refuses us, and system libraries missing for Qt's plugin.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(f"{NO_SCREEN} (neither DISPLAY nor WAYLAND_DISPLAY is set)")
    trial = "import cv2; cv2.namedWindow('trial'); cv2.destroyAllWindows()"
    child = subprocess.Popen(
        [sys.executable, "-c", trial], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )

    def finish() -> None:
        try:
            _, said = child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
            raise InputError(f"{NO_SCREEN} (the display does not answer)") from None
        if child.returncode:
            reason = said.strip().splitlines() or ["no reason given"]
            raise InputError(f"{NO_SCREEN} ({reason[0]})")

    return finish


@contextlib.contextmanager
def _quiet_qt() -> Iterator[None]:
    """Hide Qt's warnings about missing fonts while it starts. OpenCV's Qt comes without any; we draw our own text.

    Qt reads the variable once, and programs that are started later must not inherit it.
    """
    if "QT_LOGGING_RULES" in os.environ:  # the user's choice
        yield
        return
    os.environ["QT_LOGGING_RULES"] = "*.warning=false"
    try:
        yield
    finally:
        del os.environ["QT_LOGGING_RULES"]


class Window:
    """A resizable window that shows RGB uint8 images (H, W, 3) and reads keys and clicks."""

    def __init__(self, title: str, click: Callable[[int, int], None]):
        """click: called with a click's place in the image, x and y in pixels, while a key is waited for."""
        import cv2

        self.cv2 = cv2
        self.title, self.click = title, click
        self._size_wh: tuple[int, int] | None = None  # of the last image
        with _quiet_qt():
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.setMouseCallback(title, self._handle_mouse)

    def _handle_mouse(self, event: int, x: int, y: int, *_: object) -> None:
        if event == self.cv2.EVENT_LBUTTONDOWN:
            self.click(x, y)

    def show(self, image: np.ndarray) -> None:
        """Show an image from the next wait on. The window takes its size, within MAX_SIZE_WH, when that changes."""
        size_wh = image.shape[1::-1]
        if size_wh != self._size_wh:
            self.cv2.resizeWindow(self.title, *fit_size(size_wh, MAX_SIZE_WH))
            self._size_wh = size_wh
        self.cv2.imshow(self.title, self.cv2.cvtColor(image, self.cv2.COLOR_RGB2BGR))

    def wait_key(self, seconds: float) -> str:
        """Wait for a key for some seconds, at least 1 ms.

        Returns its character, its name (ESCAPE, …), CLOSED if the window is closed, or "" if there was none.
        """
        key = decode_key(self.cv2.waitKeyEx(max(1, int(seconds * 1000))))
        return CLOSED if self._is_closed() else key

    def _is_closed(self) -> bool:
        try:
            return self.cv2.getWindowProperty(self.title, self.cv2.WND_PROP_VISIBLE) < 1
        except self.cv2.error:  # Qt is gone with its last window
            return True

    def close(self) -> None:
        self.cv2.destroyAllWindows()


def decode_key(code: int) -> str:
    """The character or name of a key from its cv2.waitKeyEx code; "" for no key and for keys without meaning here.

    OpenCV's Qt reports letters without their case, and Latin-1's letters beyond ASCII as negative codes of
    capitals. All letters are returned in lower case. Shift is returned as a key of its own, so that the caller
    can capitalize the next letter.
    """
    if code == -1:
        return ""
    if -128 <= code < 0:
        return chr(code & 0xFF).lower()
    if code in _NAMED_KEYS or code in _DEAD_KEYS:
        return _NAMED_KEYS.get(code) or _DEAD_KEYS[code]
    if code >= UNICODE_KEYS:
        code -= UNICODE_KEYS
    elif code >= 0xFE00:  # arrows, function keys and others that write nothing
        return ""
    return chr(code) if code < sys.maxunicode and chr(code).isprintable() else ""


def fit_size(size_wh: tuple[int, int], largest_wh: tuple[int, int]) -> tuple[int, int]:
    """A width and height scaled down to fit into the largest, with the same proportions; never scaled up."""
    scale = min(1.0, *(limit / side for limit, side in zip(largest_wh, size_wh, strict=True)))
    width, height = (max(1, round(side * scale)) for side in size_wh)
    return width, height
