"""Collect a person's faces from a webcam or a video.

  python capture.py --output faces/ada
  python capture.py --output faces/ada --guide
  python capture.py --output faces/ada --video_path ada.mp4
  python capture.py --output faces/ada --every 10 --count 20 --headless

Keys in the window: s saves, u deletes what was saved last, space pauses, g guides (asks for a few poses
and saves them by itself), h shows these keys, q or Esc quits. A face is saved if it is the only one, or
at least twice as high as all others, and good enough: large, sharp and light enough, turned to the
camera, and not like one that this run has saved; else the window says why not, and a face that was
asked for is saved as soon as it is good. Whose face it is, is not known here: let nobody else stand
alone in the video. Files are numbered on after what is there; nothing is overwritten.
"""

import argparse
import sys
from contextlib import ExitStack

from utils.cli import InputError, add_mirror_switch, add_switch, bounded, clean_exit, counted, file_path, script_parser
from utils.detection_arguments import add_detection_arguments

MIN_SIZE = 60  # pixels
LIVE_SEARCH_SIZE = 640  # pixels: a camera's larger pictures are searched in a copy of this size, to keep up
KEYS = (("s", "save"), ("u", "undo"), ("g", "guide"), ("h", "help"), ("q", "quit"), ("space", "pause"))
HELP = (
    ("s", "save the face as soon as it is good enough"),
    ("u", "delete what was saved last"),
    ("g", "ask for a few poses and save them"),
    ("space", "pause, and go on"),
    ("h", "show or hide these keys"),
    ("q, Esc", "quit"),
)


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-o", "--output", required=True, type=file_path, help="the person's folder; its name is the person"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("-v", "--video_path", type=file_path, help="a video file instead of the camera")
    source.add_argument("--camera", default="0", help="index, device path, or URL (RTSP, HTTP)")
    parser.add_argument("--every", type=bounded(int, 0), default=0, help="save by itself every N frames; 0: never")
    parser.add_argument("--count", type=bounded(int, 0), default=0, help="stop after so many saved faces; 0: go on")
    parser.add_argument("--guide", action="store_true", help="ask for five poses and save them by itself")
    add_switch(parser, "--gate", default=1, help="1: save only faces that are good enough; 0: any face")
    add_mirror_switch(parser)
    parser.add_argument("--headless", action="store_true", help="open no window; needs --every or --guide")
    add_detection_arguments(parser, MIN_SIZE)
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.headless and not (args.every or args.guide):
        raise InputError("--headless has no key to save with: add --every N or --guide")
    from utils.cameras import open_source
    from utils.video import is_mirrored
    from utils.window import check_screen

    if not args.headless:
        check_screen()
    with ExitStack() as cleanup:
        source = open_source(args.camera, args.video_path, None)
        cleanup.callback(source.close)
        from utils.collecting import Collector, FaceSaver
        from utils.faces import DETECTION_SIZE, load_detector
        from utils.files import make_folder
        from utils.guide import Guide

        make_folder(args.output)
        search_size = LIVE_SEARCH_SIZE if source.live else DETECTION_SIZE
        detect = load_detector(args.detector, args.min_size, bool(args.align), search_size)
        collector = Collector(
            FaceSaver(args.output), bool(args.gate), args.every, Guide() if args.guide else None, source.rate
        )
        mirrored = is_mirrored(args.mirror, args.camera, args.video_path)
        screen = None
        if not args.headless:
            screen = Screen(collector, mirrored, 0.0 if source.live else 1 / source.rate)
            cleanup.callback(screen.close)
        return run(source, detect, collector, screen, args.count)


def run(source, detect, collector, screen, count: int) -> int:
    """Look for faces picture by picture and save what is wished for, until told to stop."""
    saver = collector.saver
    try:
        view = None
        for frame in source.frames():
            if not frame.note:  # else it is the last picture again, and says that the camera is away
                view = collector.look(frame.image, detect(frame.image), frame.time)
            done = screen is None and collector.guide is not None and collector.guide.done
            if screen is not None:
                done = screen.show(view, frame.note)
            if done or (count and saver.saved >= count):
                break
    finally:
        print(f"{counted(saver.saved, 'face')} saved in {saver.folder}")
        if screen is None and collector.refused:
            reasons = (f"{reason} ({counted(number, 'frame')})" for reason, number in collector.refused.most_common())
            print(f"not saved: {', '.join(reasons)}")
    return 0


class Screen:
    """The window: what it shows of each view, and what its keys do. interval: seconds that a frame is shown."""

    def __init__(self, collector, mirrored: bool, interval: float):
        self.collector, self.mirrored, self.interval = collector, mirrored, interval
        self.window = None
        self.paused = self.helping = False

    def show(self, view, note: str | None = None) -> bool:
        """Show a view, for as long as it is paused, and do what keys say. Returns whether to quit.

        note: what is wrong with the camera, None for nothing.
        """
        from utils.window import Window

        if self.window is None:
            self.window = Window("capture", view.image.shape[1::-1])
        key = self.window.show(self.draw(view, note), self.interval)
        while key != "q":
            view = self._do(key, view)
            if not self.paused:
                return False
            key = self.window.show(self.draw(view, note), 0.05)
        return True

    def _do(self, key: str, view):
        from utils.guide import Guide

        collector = self.collector
        if key == "s" and self.paused:
            return collector.save_shown(view)
        if key == "s":
            collector.wish()
        elif key == "u":
            collector.undo()
        elif key == "g":
            collector.guide = None if collector.guide else Guide()
        elif key == " ":
            self.paused = not self.paused
        elif key == "h":
            self.helping = not self.helping
        return view

    def draw(self, view, note: str | None = None):
        """A copy of a view's picture with its faces, the chip that would be saved, a message and the keys."""
        from utils.drawing import (
            draw_countdown,
            draw_help,
            draw_inset,
            draw_message,
            draw_plain_face,
            draw_status,
            mirror,
        )

        collector, saver = self.collector, self.collector.saver
        boxes = [face.box for face in view.faces]
        preview = view.image.copy()
        if self.mirrored:
            preview, boxes = mirror(preview, boxes)
        for box in boxes:
            draw_plain_face(preview, box, good=view.reason is None)
        if view.reason is None:
            draw_inset(preview, view.chip)
        if view.countdown is not None and not self.paused:
            # Beside the face, where there is one.
            draw_countdown(preview, str(view.countdown), right=bool(boxes) and boxes[0][0] < preview.shape[1] // 4)
        paused = f"paused: {view.reason}" if view.reason else "paused"
        message = note or (paused if self.paused else collector.message(view))
        if message:
            progress = collector.guide.progress if collector.guide and not note else None
            draw_message(preview, message, warning=bool(note), progress=progress)
        draw_status(preview, f"{saver.person}: {saver.saved} saved", keys=KEYS)
        if self.helping:
            draw_help(preview, HELP)
        return preview

    def close(self) -> None:
        if self.window is not None:
            self.window.close()


if __name__ == "__main__":
    sys.exit(main())
