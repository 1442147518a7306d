"""Why a video file gives fewer frames than it declares: its codec, or a missing end."""

import shlex
from pathlib import Path

MAX_GAP = 1.0  # seconds that the end of the last packet may miss the declared end, which containers round
MAX_GAP_SHARE = 0.02  # of the declared duration
MIN_DECODED = 0.8  # share of the pictures in a file; some codecs store up to a tenth more that are never shown


def explain_failure(path: Path, shown: Path) -> str:
    """Why OpenCV reads no frame of a file, as the end of a message: its codec, and how to convert it.

    shown: the path as the user knows it.
    """
    import av  # here and below: it is not needed for videos in good order

    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                return ": it has only sound" if file.streams.audio else ": it has no pictures"
            context = file.streams.video[0].codec_context
            if next(file.decode(video=0), None) is None:
                return ": it is empty or damaged"
            codec, tag = context.codec.canonical_name.upper(), context.codec_tag.strip("\0 ")
    except Exception:  # PyAV raises many kinds of error on damaged files
        return ": it is damaged, cut off, or in an unknown format"
    named = f"{codec} ({tag})" if tag.isprintable() and tag and tag.upper() != codec else codec
    command = shlex.join(["ffmpeg", "-i", str(shown), "-c:v", "libx264", f"{shown.stem}_h264.mp4"])
    return f": its codec {named} is not supported. Convert it with {command}"


def describe_loss(path: Path, decoded: int) -> str | None:
    """What is missing of a file of which `decoded` frames were read, None if nothing is.

    The header's number of frames is often an estimate, so the packets are looked at: where they end, and how many
    there are. Their duration counts that of the sound, too, which may be longer than the picture.
    """
    import av

    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            rate = float(stream.average_rate or 0)
            duration = file.duration / av.time_base if file.duration else 0.0
            start = (file.start_time or 0) / av.time_base
            if "matroska" in file.format.name:  # it counts from 0, although a recording's clock may start at any time
                duration -= max(0.0, start)
            packets, end = 0, 0.0
            for packet in file.demux():
                if packet.size and packet.pts is not None:
                    packets += packet.stream.index == stream.index
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - start)
            declared = max(stream.frames, round(duration * rate))
    except Exception:  # PyAV raises many kinds of error on damaged files
        return None
    # Where the header counts the frames, their number decides, so that half a second is noticed as well.
    counted_gap = 2.5 / rate if rate and stream.frames > packets else MAX_GAP + MAX_GAP_SHARE * duration
    if duration - end > counted_gap:
        return f"only {decoded} of {max(declared, decoded)} frames could be read: the file is cut off or damaged"
    if decoded < MIN_DECODED * packets:
        return f"only {decoded} of {packets} frames could be read: the file is damaged"
    return None
