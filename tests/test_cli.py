"""How a run ends after a signal, and the argument types."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import DEADLINE, ROOT

from utils import interrupts
from utils.cli import INTERRUPTED, InputError, clean_exit, file_path, local_path, name_or_file, summarize, visible, warn

SCRIPT = """
import os, signal, sys, threading, time
from utils.cli import clean_exit

class Collected:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})

@clean_exit
def main(argv=None):
    {body}
    return 0

sys.exit(main())
"""


@pytest.fixture
def handlers():
    """Gives pytest its signal handlers back."""
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_home_is_expanded_in_paths(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert file_path("~/faces") == Path("/home/ada/faces") and file_path("~") == Path("/home/ada")
    assert file_path("./~/faces") == Path("~/faces") and file_path("a~b") == Path("a~b")
    assert file_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    with pytest.raises(argparse.ArgumentTypeError, match="empty"):
        file_path("")


@pytest.mark.fault
@pytest.mark.parametrize(("redirection", "status"), [(">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 2)])
@pytest.mark.parametrize("flush", [False, True])
def test_closed_and_full_streams_are_no_traceback(tmp_path, redirection, status, flush):
    out = tmp_path / "out"
    body = f"open({str(out)!r}, 'w').write('the result'); print('a line', flush={flush})"
    (tmp_path / "script.py").write_text(SCRIPT.format(name="SIGTERM", body=body))
    command = f"{sys.executable} {tmp_path / 'script.py'} {redirection}"
    result = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert result.returncode == status and out.read_text() == "the result"
    assert result.stderr == ("error: standard output: No space left on device\n" if status else "")


def test_messages_do_not_change_the_terminal(handlers, capsys):
    """A file's name may hold codes that clear the screen or rename the window, and line breaks."""

    @clean_exit
    def main(argv: list[str] | None = None) -> int:
        warn("skipped: \x1b[2J\x9b1mphoto.jpg")
        raise InputError("\x1b]0;x\x07 José\nwarning: \u200call is well")

    assert main() == 2
    expected = "warning: skipped: \\x1b[2J\\x9b1mphoto.jpg\nerror: \\x1b]0;x\\x07 José warning: \u200call is well\n"
    assert capsys.readouterr().err == expected


@pytest.mark.kill
@pytest.mark.parametrize("error", [None, InputError("the weights are damaged"), RuntimeError("in a library")])
def test_what_a_swallowed_signal_causes_is_no_other_end(handlers, capsys, error):
    @clean_exit
    def main(argv: list[str] | None = None) -> int:
        with contextlib.suppress(BaseException):  # as some libraries do
            os.kill(os.getpid(), signal.SIGINT)
        if error:
            raise error
        return 0

    assert main() == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_is_still_raised(handlers):
    @clean_exit
    def main(argv: list[str] | None = None) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.kill
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    "body",
    [
        "Collected()",  # raised in a destructor, where Python prints it and goes on
        "import atexit; atexit.register(os.kill, os.getpid(), signal.{name})",  # after the work
        "threading.Thread(target=lambda: (time.sleep(0.2), os.kill(os.getpid(), signal.{name}))).start()",
    ],
)
def test_a_signal_at_a_bad_moment_ends_with_130(tmp_path, name, body):
    code = SCRIPT.replace("{body}", body).replace("{name}", name)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, env=environment, cwd=tmp_path
    )
    assert process.returncode == INTERRUPTED
    assert process.stderr in ("interrupted\n", "")


def test_names_do_not_command_the_terminal(capsys):
    assert visible("Zoë 写真 \U0001f389\u200d") == "Zoë 写真 \U0001f389\u200d"
    assert visible("a\x1b[2J\nb\x9b\u2028") == "a\\x1b[2J\\nb\\x9b\\u2028"
    assert summarize(["a\x07"]) == "  a\\x07"
    warn("two lines\n  a\x1b]0;x\x07")
    assert capsys.readouterr().err == "warning: two lines\n  a\\x1b]0;x\\x07\n"


def test_a_path_may_be_an_address(monkeypatch, tmp_path):
    assert str(file_path("memory://bucket/faces/")) == "memory://bucket/faces"
    assert file_path(f"file://{tmp_path}") == tmp_path and file_path("c://x") == Path("c:/x")
    assert isinstance(file_path("rtsp://host/cam"), Path)  # for --camera, which says so
    for text, message in {
        "s4://bucket": "no storage is known for addresses with s4://",
        "ftp://ada:secret@host/faces": "must not hold a password",
        "sftp://ada:se/cret@host/faces": "must not hold a password",
    }.items():
        with pytest.raises(argparse.ArgumentTypeError, match=message) as caught:
            file_path(text)
        assert "secret" not in str(caught.value)
    with pytest.raises(argparse.ArgumentTypeError, match="on this machine"):
        local_path("memory://bucket/events.jsonl")
    assert local_path("events.jsonl") == Path("events.jsonl")


@pytest.mark.parametrize(
    ("missing", "address", "command"),
    [
        ("gcsfs", "gs://bucket", "pip install gcsfs"),
        ("s3fs", "s3://bucket", "pip install -r requirements-cluster.txt"),
        ("upath", "s3://bucket", "pip install -r requirements-cluster.txt"),
    ],
)
def test_a_missing_package_of_a_storage_is_named(missing, address, command, monkeypatch):
    from fsspec.registry import _registry

    monkeypatch.delitem(_registry, "s3", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == missing or name == "utils.stored_path"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(argparse.ArgumentTypeError, match=command):
        file_path(address)


def test_a_file_for_a_library_is_fetched(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert [name_or_file(text) for text in ("dlib", "~/net.onnx")] == ["dlib", "/home/ada/net.onnx"]
    file_path("memory://nets/net.onnx").write_bytes(b"onnx")
    copy = Path(name_or_file("memory://nets/net.onnx"))
    assert copy.name == "net.onnx" and copy.read_bytes() == b"onnx"
