"""The flags of every script that finds faces, apart from the code that finds them: `--help` stays fast."""

import argparse

from utils.cli import add_switch, bounded

UNLIMITED = 1 << 16  # pixels that are searched: no JPEG is longer


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
