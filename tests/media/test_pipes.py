"""Pipes and devices in place of files."""

import os
import socket
from threading import Thread

import pytest

from utils.cli import InputError
from utils.media.pipes import read_file


def test_a_pipe_is_read_to_its_end(tmp_path, capsys):
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    Thread(target=path.write_bytes, args=[b"x" * 300_000], daemon=True).start()
    assert read_file(path) == b"x" * 300_000
    (tmp_path / "file.jpg").write_bytes(b"y")
    assert read_file(tmp_path / "file.jpg") == b"y"


def test_a_device_or_a_socket_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"/dev/zero is a device"):
        read_file("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.jpg"))
        with pytest.raises(InputError, match=r"s\.jpg is a socket"):
            read_file(tmp_path / "s.jpg")
