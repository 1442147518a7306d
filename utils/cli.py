"""The command line that all scripts share: parsers, argument types and how a run may end.

A run ends in one of four ways: 0 done; 2 bad input, with one `error:` line on stderr; 130 after
Ctrl-C; and a traceback, which is a bug of ours.
"""

import argparse
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

UNLIMITED = 1 << 16  # pixels that are searched: no JPEG is longer


class InputError(ValueError):
    """What the user gave cannot be worked with. Its message becomes the `error:` line."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the line breaks of a script's docstring and shows every default but None."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"error: {message} ({os.path.basename(self.prog)} --help shows the options)\n")


def script_parser(docstring: str) -> argparse.ArgumentParser:
    """A parser whose `--help` opens with the script's own docstring."""
    return _Parser(description=docstring, formatter_class=_HelpFormatter)


def clean_exit(main: Callable[..., int]) -> Callable[..., int]:
    """Decorate a script's `main` so that it ends as this module's docstring says.

    OSError counts as bad input: a missing, unwritable or full place is the user's to mend.
    """

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> int:
        for stream in (sys.stdout, sys.stderr):
            # File names may hold bytes, and help texts signs, that a terminal's encoding has not.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        if threading.current_thread() is threading.main_thread():
            # What ends a service ends it as Ctrl-C does: with what is finished saved.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return main(argv)
        except ModuleNotFoundError as exc:
            return _fail(f"{exc}: install what is missing with `pip install -r requirements.txt`")
        except ImportError as exc:  # a wheel is there, a system library that it links to is not
            return _fail(_missing_library_hint(exc))
        except BrokenPipeError:  # `| head` has seen enough; nothing more can be said
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except (InputError, OSError) as exc:
            return _fail(str(exc))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return wrapped


def _fail(message: str) -> int:
    # Libraries put line breaks and tracebacks into their messages; the user gets one line.
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


# The shared libraries that a bare Debian lacks, and the packages that bring them.
_DEBIAN_PACKAGES = {
    "libGL": "libgl1",
    "libglib": "libglib2.0-0",
    "libgthread": "libglib2.0-0",
    "libxcb": "libxcb1",
}


def _missing_library_hint(exc: ImportError) -> str:
    for library, package in _DEBIAN_PACKAGES.items():
        if library in str(exc):
            return f"{exc}: on Debian or Ubuntu `apt install {package}` brings it"
    return str(exc)


def warn(message: str) -> None:
    """One `warning:` line on stderr."""
    print(f"warning: {message}", file=sys.stderr)


def bounded(kind: type, low: float, high: float = float("inf")) -> Callable[[str], float]:
    """An argparse type: an int or a float within [low, high]."""

    def convert(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number. Received: {text!r}") from None
        if not low <= value <= high:
            limit = f"at least {low}" if high == float("inf") else f"between {low} and {high}"
            raise argparse.ArgumentTypeError(f"must be {limit}. Received: {text}")
        return value

    return convert


def file_path(text: str) -> Path:
    """An argparse type: a path. An empty one, an unset shell variable most likely, is refused."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def add_switch(parser: argparse.ArgumentParser, *names: str, default: int, help: str) -> None:
    """A 0/1 flag, as the original recipe writes its switches (`--normalize 0`)."""
    parser.add_argument(*names, type=int, choices=(0, 1), default=default, help=help)


def add_normalize_switch(parser: argparse.ArgumentParser, help: str) -> None:
    """`--normalize 0|1`, with the original recipe's other spellings of it."""
    add_switch(parser, "-n", "--normalize", "--normaliza", default=0, help=help)


def add_mirror_switch(parser: argparse.ArgumentParser) -> None:
    """`--mirror`, `--mirror 1` or `--mirror 0`, None where it is not said: see utils.media.sources.is_mirrored."""
    parser.add_argument(
        "--mirror",
        type=int,
        nargs="?",
        choices=(0, 1),
        const=1,
        help="1: show the picture as a looking glass does; what is saved never is mirrored "
        "(default: 1 for a camera of this machine, else 0)",
    )


def add_give_up(parser: argparse.ArgumentParser) -> None:
    """`--give_up SECONDS`: see utils.media.camera.Camera."""
    parser.add_argument(
        "--give_up",
        type=bounded(float, 0),
        default=0,
        help="seconds after which a lost or silent camera is not tried any more; 0: never",
    )


def counted(number: int, singular: str, plural: str = "") -> str:
    """A number and its noun: "1 face", "2 faces", "1 person", "2 people"."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def summarize(items: list[str], most: int = 20) -> str:
    """The first `most` of the items, one a line and indented, and how many more there are."""
    shown = [f"  {item}" for item in items[:most]]
    if len(items) > most:
        shown.append(f"  … and {len(items) - most} more")
    return "\n".join(shown)


def add_detection_arguments(parser: argparse.ArgumentParser, min_size: int) -> None:
    """The flags that say which faces are found and how they are cropped."""
    parser.add_argument(
        "--detector",
        choices=("retinaface", "dlib"),
        default="retinaface",
        help="retinaface sees profiles, small and dark faces; dlib is the original recipe's HOG (frontal, from 80 px)",
    )
    parser.add_argument(
        "--min_size",
        type=bounded(int, 1),
        default=min_size,
        help="faces narrower or lower are ignored, in pixels",
    )
    add_switch(
        parser,
        "--align",
        default=1,
        help="1: upright chip from the landmarks; 0: the box itself, as the original recipe",
    )
