"""Typing a person's name in a window, and what may be a name."""

import unicodedata
from collections.abc import Iterable

from utils.display.window import BACKSPACE, CAPS_LOCK, SHIFT

COMBINING_ACCENTS = range(0x300, 0x370)  # Unicode: a dead key puts one on the next letter
MAX_NAME_LENGTH = 80  # bytes
FORBIDDEN = '/\\:*?"<>|'


class NameEntry:
    """The text field in which a name is typed."""

    def __init__(self):
        self.text: str | None = None  # None while nothing is being typed
        self._shift = self._caps_lock = False  # capitals for the next letter, for all letters
        self._accent = ""  # goes on the next letter

    def open(self, text: str = "") -> None:
        """Start to type, with a text to change."""
        self.text, self._shift, self._accent = text, not text, ""

    def close(self) -> None:
        """End the typing."""
        self.text = None

    def press(self, key: str) -> None:
        """Act on a key. Letters arrive in lower case: see utils.display.window.decode_key."""
        if key == BACKSPACE:
            self.text = self.text[:-1]
            self._shift = not self.text
        elif key == SHIFT:
            self._shift = True
        elif key == CAPS_LOCK:
            self._caps_lock = not self._caps_lock
        elif len(key) == 1 and ord(key) in COMBINING_ACCENTS:
            self._accent = key
        elif len(key) == 1:
            self.text += (key.upper() if self._shift or self._caps_lock else key) + self._accent
            # Each part of a name begins with a capital, without Shift.
            self._shift, self._accent = key in " -", ""


def check_name(text: str, known_names: Iterable[str] = ()) -> tuple[str, str | None]:
    """Turn typed text into a person's folder name. Returns the name and what is wrong with it, or None.

    A known name is returned in its own spelling, even if case or the encoding of accents differ.
    """
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if not name:
        return name, "type a name first"
    for known_name in known_names:
        if unicodedata.normalize("NFC", known_name).casefold() == name.casefold():
            return known_name, None
    if name.startswith((".", "_")) or name.endswith("."):
        return name, "a name cannot start with a dot or _, or end with a dot"
    if any(character in FORBIDDEN or not character.isprintable() for character in name):
        return name, f"a name cannot contain any of {FORBIDDEN}"
    if len(name.encode()) > MAX_NAME_LENGTH:
        return name, "the name is too long"
    return name, None
