"""Videos that are none, damaged or hostile, and good ones in every container and under every name."""

import os
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from bad_inputs import ODD_NAMES, cut, encode, shell_pickle
from support import webcam_view

FRAMES = 8
RATE = 10  # frames a second
CONTAINERS = {"film.mp4": "mpeg4", "film.mov": "mpeg4", "film.mkv": "mjpeg", "film.avi": "mpeg4", "film.webm": "libvpx"}
# A colon makes a protocol of a relative path, and a percent sign a series of pictures.
VIDEO_NAMES = (b"Interview: Ada.mp4", b"concat:a|b.mp4", b"film%03d.mp4", b"film.jpg", b"FILM.MP4", b"no suffix")


def write_film(path: Path, pictures: list[np.ndarray], codec: str = "mpeg4") -> None:
    """Write pictures as a video whose index, in an .mp4, stands at the end."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=RATE)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 4_000_000
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def write_good_videos(folder: Path) -> list[str]:
    """Write a film of the drawn person 101 in several containers and under odd names. Returns the names."""
    folder.mkdir()
    pictures = [webcam_view(seed=seed) for seed in range(FRAMES)]
    for name, codec in CONTAINERS.items():
        write_film(folder / name, pictures, codec)
    names = [name.replace(b".png", b".mp4") for name in ODD_NAMES[:8]] + list(VIDEO_NAMES)
    for name in map(os.fsdecode, names):
        shutil.copyfile(folder / "film.mp4", folder / name)
    return [*CONTAINERS, *map(os.fsdecode, names)]


def bad_videos(films: Path, marker: Path) -> dict[str, bytes]:
    """Files that give no frame: each has to be refused with one line. films: see `write_good_videos`."""
    whole = {suffix: (films / f"film.{suffix}").read_bytes() for suffix in ("mp4", "mkv", "avi", "webm")}
    avi = whole["avi"]
    videos = {
        "empty.mp4": b"",
        "text.mp4": b"just text\n" * 20,
        "page.mp4": b"<!DOCTYPE html><html><body>404 not found</body></html>",
        "zeros.mp4": bytes(5000),
        "noise.mp4": np.random.default_rng(0).bytes(5000),
        "program.mp4": b"\x7fELF\x02\x01\x01" + bytes(200),
        "archive.mp4": b"PK\x05\x06" + bytes(18),
        "pickle.mp4": shell_pickle(marker),
        "header.mp4": whole["mp4"][:40],
        "no index.mp4": cut(whole["mp4"], 0.6),
        "no film.mp4": b"\0\0\0\x08free" * 9,
        "header.mkv": cut(whole["mkv"], 0.001),
        "header.webm": whole["webm"][:60],
        "no frames.avi": avi[: avi.index(b"movi") + 4],
        "huge.avi": _with_avi_size(avi[: avi.index(b"movi") + 4], 2**31 - 1),
        "sound.wav": b"RIFF$\x10\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0\x80>\0\0\2\0\x10\0data\0\x10\0\0" + bytes(4096),
        "addresses.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "addresses.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "secrets.m3u8": b"#EXTM3U\n#EXTINF:5,\nconcat:/etc/passwd|/etc/hostname\n#EXT-X-ENDLIST\n",
        "other files.ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "listener.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "subtitles.srt": b"1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    }
    return videos


def damaged_videos(films: Path) -> dict[str, bytes]:
    """Films of which some frames may be left, or none: either way there is a word."""
    videos = {}
    for suffix in ("mkv", "avi", "webm"):
        data = (films / f"film.{suffix}").read_bytes()
        videos[f"half.{suffix}"] = cut(data, 0.5)
        noise = np.random.default_rng(1).bytes(400)
        videos[f"noise inside.{suffix}"] = data[: len(data) // 2] + noise + data[len(data) // 2 + 400 :]
    videos["photo.mp4"] = encode(webcam_view(), "PNG")
    return videos


def _with_avi_size(avi: bytes, side: int) -> bytes:
    at = avi.index(b"strf") + 12
    return avi[:at] + struct.pack("<ii", side, side) + avi[at + 8 :]
