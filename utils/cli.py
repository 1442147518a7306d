"""The command line that all scripts share: parsers, argument types, and how a run ends.

A run ends with exit status 0 when it is done, with 2 and one `error:` line on stderr after bad input, and
with 130 after Ctrl-C, SIGTERM or SIGHUP, with finished work saved. A traceback is a bug.
"""

import argparse
import functools
import os
import re
import sys
import tomllib
import unicodedata
from collections.abc import Callable
from pathlib import Path

from utils import interrupts
from utils.storage import UNFINISHED, StorageError, is_remote, local_copy
from utils.telemetry import disable_telemetry

INTERRUPTED = 130  # the exit status after a signal: a shell's 128 + SIGINT
_CONTROLS = ("Cc", "Zl", "Zp")  # Unicode's categories of control characters and of separators of lines
MAX_SHOWN = 100  # characters of a value from a file that a message repeats: hostile ones fill the screen
ENGINES = ("auto", "openvino", "keras")  # what networks run on: see utils.engine.choose_engine
PRECISIONS = ("float32", "bfloat16")  # number types that networks compute with
MIN_SIZE = 20  # pixels; faces that are smaller are not recognized
UNLIMITED = 1 << 16  # pixels; a search size that no JPEG exceeds
STREAMS = ("http", "https", "rtsp", "rtsps", "rtmp", "rtp", "udp", "tcp", "mms")  # addresses of cameras, not of folders
PASSWORD = r"://[^/@]*:(?!\d+/)[^@]*@"  # name:password@ in an address; a number is a port

hidden_stderr: list[int] = []  # descriptors of stderr where `quiet_stderr` of utils.keras_models has hidden it


class InputError(ValueError):
    """The user's input cannot be used. The message becomes the `error:` line."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the line breaks of a script's docstring and shows every default except None."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"error: {message} ({os.path.basename(self.prog)} --help shows the options)\n")


def script_parser(docstring: str) -> argparse.ArgumentParser:
    """A parser with `--version`, whose `--help` opens with the docstring of its script."""
    parser = _Parser(description=docstring, formatter_class=_HelpFormatter)
    # SUPPRESS keeps `version` out of the arguments that train.py and evaluate.py write into their JSON files.
    parser.add_argument(
        "--version", action=_VersionAction, nargs=0, default=argparse.SUPPRESS, help="print the version and exit"
    )
    return parser


class _VersionAction(argparse.Action):
    """Prints the version in pyproject.toml, which is read only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        with open(Path(__file__).parents[1] / "pyproject.toml", "rb") as file:
            parser.exit(message=f"Siamese Faces {tomllib.load(file)['project']['version']}\n")


WRITE_ERRORS = (InputError, OSError, StorageError)  # what a write can fail with


def clean_exit(main: Callable[..., int]) -> Callable[..., int]:
    """Decorate the `main` of a script so that it ends as described at the top of this module.

    OSError counts as bad input: the user can fix a missing, unwritable or full folder. After a signal every other
    end is a consequence of it: libraries swallow it, or turn it into errors of their own.
    """
    is_script = main.__module__ == "__main__"  # else a test or another program called it, and goes on

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> int:
        _open_closed_streams()
        for stream in (sys.stdout, sys.stderr):
            # File names and help texts may contain characters that the terminal's encoding lacks.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        disable_telemetry()
        interrupts.install()
        if is_script:
            sys.unraisablehook = interrupts.hide_swallowed(sys.unraisablehook)
        try:
            status = main(argv)
        except KeyboardInterrupt:
            status = INTERRUPTED
        except Exception as exc:
            status = INTERRUPTED if interrupts.is_pending() else _failure_status(exc)
        if is_script:
            interrupts.end_at_signals(INTERRUPTED)
            status = _flush(status)
        if status == INTERRUPTED or interrupts.is_pending():
            tell("interrupted")
            status = INTERRUPTED
        if is_script:
            interrupts.end_process(status)
        return status

    return wrapped


def _open_closed_streams() -> None:
    """Let what a shell has closed (`>&-`) lead nowhere: else the next file that is opened becomes standard output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  it stays open
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def _flush(status: int) -> int:
    """Write what is left for standard output. Returns the exit status, of an error if that fails."""
    try:
        sys.stdout.flush()
    except OSError as exc:
        _leave_stdout()
        if not isinstance(exc, BrokenPipeError):
            return _fail(f"standard output: {exc.strerror}")
    return status


def _leave_stdout() -> None:
    """Write what is still to come to nowhere, because the reader has closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failure_status(exc: Exception) -> int:
    """Print the `error:` line of bad input and return its exit status. Any other exception is raised again."""
    if isinstance(exc, ModuleNotFoundError):
        return _fail(f"{exc}: install the missing package with `pip install -r requirements.txt`")
    if isinstance(exc, ImportError):  # the wheel is installed, but a system library that it links to is missing
        return _fail(_missing_library_hint(exc))
    if isinstance(exc, BrokenPipeError):  # the reader, such as `| head`, has closed the pipe
        _leave_stdout()
        return 0
    if isinstance(exc, StorageError):
        return _fail(str(exc))
    if isinstance(exc, OSError) and exc.filename is None and _flush(0):  # a failed print does not say where
        return 2
    if isinstance(exc, InputError | OSError):
        return _fail(describe_error(exc))
    if isinstance(exc, MemoryError):  # numpy says how much it asked for; Python says nothing
        return _fail(f"not enough memory{f': {exc}' if str(exc) else ''}")
    raise exc


def describe_error(error: Exception) -> str:
    """Describe a failed write without error numbers and names of temporary files."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str | bytes):
        return str(getattr(error, "strerror", None) or error)
    # A failed rename of a temporary file has two names.
    path = os.fsdecode(error.filename if error.filename2 is None else error.filename2)
    folder, name = os.path.split(path)
    return f"{error.strerror}: {folder or os.curdir if name.startswith(UNFINISHED) else path}"


def _fail(message: str) -> int:
    # Messages of libraries may contain line breaks; the user gets one line.
    print(f"error: {visible(' '.join(message.split()))}", file=sys.stderr)
    return 2


def cut(text: str) -> str:
    """A text from a file as a message repeats it: its first MAX_SHOWN characters."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def shown(value: object) -> str:
    """A value from a file as a message repeats it: as Python writes it, cut off."""
    return cut(repr(value))


# Shared libraries that a bare Debian lacks, and the packages that contain them.
_DEBIAN_PACKAGES = {
    "libGL": "libgl1",
    "libglib": "libglib2.0-0",
    "libgthread": "libglib2.0-0",
    "libxcb": "libxcb1",
}


def _missing_library_hint(exc: ImportError) -> str:
    for library, package in _DEBIAN_PACKAGES.items():
        if library in str(exc):
            return f"{exc}: on Debian or Ubuntu, `apt install {package}` installs it"
    return str(exc)


def warn(message: str) -> None:
    """Print a `warning:` line on stderr, and more lines if the message has more."""
    tell("\n".join(map(visible, f"warning: {message}".split("\n"))))


def tell(text: str) -> None:
    """Print a line on stderr, even while a thread hides what a library writes there."""
    if hidden_stderr:
        os.write(hidden_stderr[0], f"{text}\n".encode(errors="backslashreplace"))
    else:
        print(text, file=sys.stderr)


def visible(text: str) -> str:
    """A text with escapes in place of control characters: a file's name must not command the user's terminal."""
    if text.isprintable():
        return text
    return "".join(ascii(letter)[1:-1] if unicodedata.category(letter) in _CONTROLS else letter for letter in text)


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
    """An argparse type: a path, or with "://" an address. An empty one is refused: a shell variable was not set.

    A leading `~` is the home folder: no shell expands the one in `--faces_path=~/faces`.
    """
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    scheme = re.match(r"([a-z][\w+.-]+)://", text, re.IGNORECASE)
    if scheme and scheme[1].lower() not in STREAMS:
        return _path_at_address(scheme[1].lower(), text)
    # Path.expanduser would also expand ./~, which is a folder of this name.
    return Path(os.path.expanduser(text))


def _path_at_address(scheme: str, text: str) -> Path:
    """A file:// address is a path, any other a StoredPath, which has the methods of one."""
    if scheme in ("file", "local"):
        return Path(text.partition("://")[2])
    if re.search(PASSWORD, text):  # it would show in messages, in the list of processes and in what train.py writes
        raise argparse.ArgumentTypeError("must not hold a password: give it in the environment (docs/scale.md)")
    try:
        from utils.stored_path import stored_path

        return stored_path(text)  # type: ignore[return-value]
    except ImportError:
        needed = f"{scheme}:// needs more packages: `pip install -r requirements-cluster.txt`"
        raise argparse.ArgumentTypeError(needed) from None
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def name_or_file(text: str) -> str:
    """An argparse type: a name, or a file's path; of a file at an address a copy is made on this machine."""
    return str(local_copy(file_path(text))) if "://" in text else os.path.expanduser(text)


def local_path(text: str) -> Path:
    """An argparse type: a path on this machine, for what is not written or read as a whole."""
    path = file_path(text)
    if is_remote(path):
        raise argparse.ArgumentTypeError("must be on this machine, not at an address")
    return path


def add_switch(parser: argparse.ArgumentParser, *names: str, default: int, help: str) -> None:
    """Add a 0/1 flag in the style of the original recipe (`--normalize 0`)."""
    parser.add_argument(*names, type=int, choices=(0, 1), default=default, help=help)


def add_normalize_switch(
    parser: argparse.ArgumentParser,
    help: str = "1: normalize for a head of the original recipe; heads that train.py saved need no flag",
) -> None:
    """Add `--normalize 0|1` under all the names that the original recipe used."""
    add_switch(parser, "-n", "--normalize", "--normaliza", default=0, help=help)


def add_source_arguments(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Add the choice of a camera or a video, which is returned, `--mirror` (see is_mirrored) and `--give_up`."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", default="0", help="index, device path, or URL (RTSP, HTTP)")
    source.add_argument("-v", "--video_path", type=local_path, help="a video file instead of the camera")
    parser.add_argument(
        "--mirror",
        type=int,
        nargs="?",
        choices=(0, 1),
        const=1,
        help="1: mirror the window; saved images are never mirrored (default: 1 for a local camera, else 0)",
    )
    parser.add_argument(
        "--give_up",
        type=bounded(float, 0),
        default=0,
        help="stop after a camera has been lost or silent for so many seconds; 0: never",
    )
    return source


def counted(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun: "1 face", "2 faces", "1 person", "2 people"."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def summarize(items: list[str], limit: int = 20) -> str:
    """The first `limit` items, indented, one a line, and the number of the others."""
    shown = [f"  {visible(item)}" for item in items[:limit]]
    if len(items) > limit:
        shown.append(f"  … and {len(items) - limit} more")
    return "\n".join(shown)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--model` and `--classification`, which are required."""
    parser.add_argument("-m", "--model", required=True, type=file_path, help="extractor saved by network.py")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head saved by train.py")


def add_gallery_rule(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the rule that names a face: see utils.recognition.gallery.Gallery."""
    parser.add_argument(
        "--threshold",
        type=bounded(float, 0, 1),
        help="probability above which a face is accepted, 0-1 (default: the head's own, which rises with the number "
        "of enrolled people so that strangers are not named more often)",
    )
    parser.add_argument(
        "--min_votes",
        type=bounded(float, 0, 1),
        help="share of a person's images, 0-1; more than this must accept (default: the head's own, else no vote). "
        "The original recipe's rule is --threshold 0.8 --min_votes 0.85",
    )
    add_normalize_switch(parser)


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--engine` and `--precision`: what the extractor runs on."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what the extractor runs on; auto: Keras with a graphics card or with KERAS_BACKEND set, else OpenVINO",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="number type of the extractor, and of RetinaFace in test.py's frames; bfloat16 is about twice as fast if "
        "the processor or the graphics card supports it, and moves a feature vector by about 1 %% of its length",
    )


def add_detection_arguments(parser: argparse.ArgumentParser, min_size: int = MIN_SIZE) -> None:
    """Add the flags that choose the detector, the smallest face and the crop."""
    parser.add_argument(
        "--detector",
        choices=("retinaface", "dlib"),
        default="retinaface",
        help="retinaface finds profiles, small and dark faces; dlib: HOG, as in the original recipe (frontal, 80 px)",
    )
    parser.add_argument(
        "--min_size",
        type=bounded(int, 1),
        default=min_size,
        help="ignore faces narrower or lower than this, in pixels",
    )
    add_switch(
        parser,
        "--align",
        default=1,
        help="1: upright chip from the landmarks; 0: the box itself, as in the original recipe",
    )
