"""The outputs of a run: the summary and the unknown faces."""

import numpy as np
from support import FakeClock, draw_selfies, recognize_all

from utils.faces.alignment import CHIP_SIZE
from utils.live.outputs import Summary, UnknownFaces
from utils.media.images import read_image
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace


def test_the_summary_counts_people_and_unnamed_faces(capsys):
    clock, image, box = FakeClock(), np.zeros((9, 9, 3), np.uint8), (0, 0, 9, 9)
    summary = Summary(timed=True, clock=clock)
    summary.print()  # nothing: it has not started
    summary.start()
    for index, name in enumerate((None, "ada", "ada", "eve")):
        track_id = 7 if name == "eve" else 1
        summary.add(Frame(image, 30.0 * index), [NamedFace(box, name, 0.8, track_id), NamedFace(box, None, 0.1, 2)])
        summary.frames += 1
    summary.latencies = [0.04, 0.04, 0.04]
    clock.sleep(2)
    summary.print()
    assert capsys.readouterr().out.splitlines() == [
        "4 frames at 2.0 per second, 8 faces, 5 unknown",
        "  camera to name: median 40 ms, 95% within 40 ms",
        "  ada: 2 frames, from 0:30.0 to 1:00.0, 80% sure",
        "  eve: 1 frame, from 1:30.0 to 1:30.0, 80% sure",
        "  1 face never named",
    ]


def test_the_summary_says_whom_no_strangers_support():
    summary, frame = Summary(timed=False), Frame(np.zeros((9, 9, 3), np.uint8), 0.0)
    for known in (False, False, True):
        summary.add(frame, [NamedFace((0, 0, 9, 9), "ada", 0.8, kind_known=known)])
    assert "  ada: 3 frames, 80% sure, * no strangers of this kind known in 2" in summary.lines(1.0)


def test_the_best_chip_of_an_unknown_face_is_saved(home_setup, tmp_path):
    recognizer, *_ = home_setup
    unknown = UnknownFaces(tmp_path / "unknown")
    recognizer.listeners.append(unknown)
    recognize_all(recognizer, draw_selfies(500, 4))
    recognizer.tracks.cut()
    recognize_all(recognizer, draw_selfies(101, 4), start=5)  # named, so not saved
    assert len(unknown.by_track) == 1 and unknown.saved == 1  # saved when its track ended, and forgotten
    assert unknown.save() == 1
    (path,) = (tmp_path / "unknown").iterdir()
    assert read_image(path).shape == (CHIP_SIZE, CHIP_SIZE, 3)
