"""Collect a person's faces from a webcam or a video.

  python capture.py --output faces/ada
  python capture.py --output faces/ada --video_path ada.mp4
  python capture.py --output faces/ada --every 10 --count 20 --headless

Keys in the window: s saves the face when exactly one is seen, q or Esc quits. --every saves by
itself. A face counts if it is at least --min_size wide and high, and at least half as high as the
largest in the picture. Files are numbered on after what is there; nothing is overwritten.
"""

import argparse
import re
import sys
from contextlib import ExitStack
from pathlib import Path

from utils.cli import InputError, bounded, clean_exit, counted, file_path, script_parser
from utils.detection_arguments import add_detection_arguments

MIN_SIZE = 60  # pixels


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
    parser.add_argument("--headless", action="store_true", help="open no window; needs --every")
    add_detection_arguments(parser, MIN_SIZE)
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.headless and not args.every:
        raise InputError("--headless has no key to save with: add --every N")
    from utils.cameras import open_source
    from utils.window import check_screen

    if not args.headless:
        check_screen()
    with ExitStack() as cleanup:
        source = open_source(args.camera, args.video_path, None)
        cleanup.callback(source.close)
        from utils.faces import load_detector
        from utils.files import make_folder

        make_folder(args.output)
        detect = load_detector(args.detector, args.min_size, bool(args.align))
        saver = FaceSaver(args.output)
        return run(source, detect, saver, args.every, args.count, args.headless, cleanup)


class FaceSaver:
    """Writes chips as <person>_<number>.png, numbered on after the highest number in the folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.person = folder.resolve().name
        numbers = (re.fullmatch(rf"{re.escape(self.person)}_(\d+)", path.stem) for path in folder.iterdir())
        self.next = max((int(found[1]) + 1 for found in numbers if found), default=0)
        self.saved = 0

    def save(self, chip) -> None:
        from utils.images import write_image

        while (path := self.folder / f"{self.person}_{self.next}.png").exists():  # another capture's, by now
            self.next += 1
        write_image(path, chip)
        print(f"{path} saved")
        self.next += 1
        self.saved += 1


def run(source, detect, saver: FaceSaver, every: int, count: int, headless: bool, cleanup: ExitStack) -> int:
    """Look for faces frame by frame and save on `s`, or every so many frames, until told to stop."""
    from utils.faces import face_chip, main_faces
    from utils.window import Window

    window = None
    try:
        for index, frame in enumerate(source.frames()):
            faces = main_faces(detect(frame.image))
            chip = face_chip(frame.image, faces[0]) if len(faces) == 1 else None
            due = bool(every) and index % every == 0
            if not headless:
                if window is None:
                    window = Window("capture", frame.image.shape[1::-1])
                    cleanup.callback(window.close)
                preview = draw_preview(frame.image, faces, chip, saver)
                key = window.show(preview, 0.0 if source.live else 1 / source.rate)
                if key == "q":
                    break
                due = due or key == "s"
            if due and chip is not None:
                saver.save(chip)
            if count and saver.saved >= count:
                break
    finally:
        print(f"{counted(saver.saved, 'face')} saved in {saver.folder}")
    return 0


def draw_preview(image, faces, chip, saver: FaceSaver):
    """A copy of an RGB uint8 frame with its faces, the chip that `s` would save, and a line of help."""
    from utils.drawing import draw_inset, draw_plain_face, draw_status

    preview = image.copy()
    for face in faces:
        draw_plain_face(preview, face.box, good=chip is not None)
    if chip is not None:
        draw_inset(preview, chip)
    state = "s save" if chip is not None else "no face" if not faces else f"{len(faces)} faces: one at a time"
    draw_status(preview, f"{saver.person}: {saver.saved} saved    {state}    q quit")
    return preview


if __name__ == "__main__":
    sys.exit(main())
