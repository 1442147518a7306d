"""Count turned photos and close-ups that selfies2face.py and verify.py get right.

  python benchmarks/orientations.py --selfies selfies --model models/dlib --classification models/similarity \\
      --output orientations

Each selfie is turned to 24 angles, and cut to close-ups in which the face is up to 1.3 times as high as the picture.
selfies2face.py makes a chip of each: it is right if its five points are where they are in the chip of the selfie as it
is. verify.py compares each with an upright photo of the same person and with one of another person: the answer should
be that of the selfie as it is. Writes contact sheets of the chips: the wrong ones have a red border.
"""

import argparse
import contextlib
import functools
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import clean_exit, file_path, script_parser

if TYPE_CHECKING:
    import numpy as np

ANGLES = range(0, 360, 15)  # degrees
SHARES = (0.77, 0.9, 1.0)  # of the face's height: the heights of close-ups
CLOSE_UP_SIZE_WH = (900, 1200)  # pixels
CLOSE_UPS = 7  # selfies that close-ups are cut from
MAX_SIDE = 960  # pixels of a selfie before it is turned
MAX_DISTANCE = 0.2  # eye distances between the points of a right chip and those of the selfie's own, on average
TILE = 96  # pixels of a chip on the contact sheet


@dataclass(frozen=True)
class Variant:
    """A turned or cut selfie."""

    person: str
    selfie: Path  # that it was made from
    path: Path  # of its file, in a folder with the person's name
    label: str  # the angle, or the height of the close-up


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--selfies", required=True, type=file_path, help="folder with one folder of photos per person")
    parser.add_argument("-m", "--model", required=True, type=file_path, help="extractor saved by network.py")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head saved by train.py")
    parser.add_argument("-o", "--output", required=True, type=file_path, help="folder for the contact sheets")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    selfies = sorted(path for path in args.selfies.glob("*/*") if path.is_file())
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for kind, make in (("turned", turn_selfies), ("close-ups", cut_close_ups)):
            variants = make(selfies, scratch / kind)
            wrong = check_chips(kind, variants, selfies, scratch)
            draw_sheet(variants, wrong, scratch / f"{kind} faces", args.output / f"{kind}.png")
            check_answers(kind, variants, selfies, args.model, args.classification)
    return 0


def turn_selfies(selfies: list[Path], folder: Path) -> list[Variant]:
    """Write each selfie at each of ANGLES, on a gray canvas that holds all of it."""
    import cv2
    import numpy as np

    from utils.media.images import read_image, write_image

    variants = []
    for selfie in selfies:
        image = read_image(selfie)
        scale = min(1, MAX_SIDE / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = image.shape[:2]
        for angle in ANGLES:
            matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, 1)
            sides = np.abs(matrix[:, :2]) @ (width, height)
            matrix[:, 2] += (sides - (width, height)) / 2
            size_wh = np.ceil(sides).astype(int).tolist()
            path = folder / selfie.parent.name / f"{selfie.stem}_{angle:03}.jpg"
            write_image(path, cv2.warpAffine(image, matrix, size_wh, borderValue=(128, 128, 128)))
            variants.append(Variant(selfie.parent.name, selfie, path, f"{angle} degrees"))
    return variants


def cut_close_ups(selfies: list[Path], folder: Path) -> list[Variant]:
    """Write close-ups of CLOSE_UPS selfies, of each of SHARES; what lies beyond the selfie repeats its edge."""
    import cv2
    import numpy as np

    from utils.media.images import read_image, write_image

    variants = []
    width, height = CLOSE_UP_SIZE_WH
    chosen = [selfies[round(index)] for index in np.linspace(0, len(selfies) - 1, min(CLOSE_UPS, len(selfies)))]
    for selfie in chosen:
        image = read_image(selfie)
        x, y, w, h = main_face_box(image)
        for share in SHARES:
            scale = height / (share * h)
            matrix = np.array(
                [[scale, 0, width / 2 - scale * (x + w / 2)], [0, scale, height / 2 - scale * (y + h / 2)]]
            )
            close = cv2.warpAffine(
                image, matrix, CLOSE_UP_SIZE_WH, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            path = folder / selfie.parent.name / f"{selfie.stem}_{share}.jpg"
            write_image(path, close)
            variants.append(Variant(selfie.parent.name, selfie, path, f"{share} of the face"))
    return variants


def main_face_box(image: "np.ndarray") -> tuple[int, int, int, int]:
    """The box of the face that an upright selfie is of."""
    from utils.faces.detection import main_faces
    from utils.faces.photo_search import load_photo_search

    found = load_photo_search().search(image)
    return main_faces(found.faces, found.size_wh)[0].box


def check_chips(kind: str, variants: list[Variant], selfies: list[Path], scratch: Path) -> set[Path]:
    """Make the chips, print how many are right, and return the variants whose chips are wrong or missing."""
    import numpy as np

    import selfies2face
    from utils.media.images import png_name

    faces, reference = scratch / f"{kind} faces", scratch / "faces"
    for source, target in ((scratch / kind, faces), (selfies[0].parent.parent, reference)):
        with contextlib.redirect_stdout(io.StringIO()):
            selfies2face.main(["-s", str(source), "-p", str(target), "--largest", "--overwrite"])
    own = {selfie: chip_points(reference / selfie.parent.name / png_name(selfie.name)) for selfie in selfies}
    wrong, missing = set(), 0
    for variant in variants:
        chip = faces / variant.person / png_name(variant.path.name)
        points, expected = chip_points(chip), own[variant.selfie]
        missing += not chip.is_file()
        limit = MAX_DISTANCE * np.hypot(*(expected[1] - expected[0]))
        if points is None or np.hypot(*(points - expected).T).mean() > limit:
            wrong.add(variant.path)
            print(
                f"  {variant.selfie.parent.name}/{variant.selfie.name}, {variant.label}: the chip is wrong or missing"
            )
    right = len(variants) - len(wrong)
    print(f"selfies2face.py, {kind}: {right} of {len(variants)} chips right, {len(wrong)} wrong ({missing} missing)")
    return wrong


def chip_points(path: Path) -> "np.ndarray | None":
    """The five points (5, 2) of the best upright face in a chip; None if there is none."""
    from utils.faces.detection import MIN_SCORE
    from utils.faces.retinaface import detect_retinaface, load_retinaface
    from utils.media.images import read_image

    if not path.is_file():
        return None
    _, _, landmarks = detect_retinaface(read_image(path), MIN_SCORE, load_retinaface())
    return landmarks[0] if len(landmarks) else None


def check_answers(kind: str, variants: list[Variant], selfies: list[Path], model: Path, head: Path) -> None:
    """Print how often verify.py's answer is that of the selfie as it is, for pairs of one person and of two."""
    import utils.features.extractor
    import utils.heads.head
    import utils.recognition.photo_comparison
    import verify

    loaders = (
        (utils.features.extractor, "load_extractor"),
        (utils.heads.head, "load_head"),
        (utils.recognition.photo_comparison, "load_side"),
    )
    for module, name in loaders:  # models are loaded once, and each photo is searched once
        setattr(module, name, functools.cache(getattr(module, name)))

    @functools.cache
    def answer(photo: Path, selfie: Path) -> int:
        with contextlib.redirect_stdout(io.StringIO()):
            return verify.main([str(photo), str(selfie), "--model", str(model), "--classification", str(head)])

    as_before = right = right_before = 0
    for number, variant in enumerate(variants):
        others = [selfie for selfie in selfies if selfie.parent.name != variant.person]
        own = [selfie for selfie in selfies if selfie.parent.name == variant.person and selfie != variant.selfie]
        pairs = [(verify.EXIT_SAME, (own or [variant.selfie])[0])]
        pairs.append((verify.EXIT_DIFFERENT, others[number % len(others)]))
        for expected, selfie in pairs:
            now, before = answer(variant.path, selfie), answer(variant.selfie, selfie)
            as_before += now == before
            right += now == expected
            right_before += before == expected
            if now != before:
                names = f"{variant.person}/{variant.selfie.name}, {variant.label}, and {selfie}"
                print(f"  {names}: exit status {now} instead of {before}")
    total = 2 * len(variants)
    print(
        f"verify.py, {kind}: {as_before} of {total} answers are those of the selfie as it is; "
        f"{right} are right, {right_before} with the selfie as it is"
    )


def draw_sheet(variants: list[Variant], wrong: set[Path], faces: Path, path: Path) -> None:
    """Write the chips side by side, a row per selfie. Wrong ones have a red border, missing ones are red."""
    import numpy as np

    from utils.media.images import png_name, read_image, resize_chip, write_image

    rows: dict[Path, list] = {}
    for variant in variants:
        chip = faces / variant.person / png_name(variant.path.name)
        tile = np.full((TILE, TILE, 3), (200, 0, 0), np.uint8)
        if chip.is_file():
            border = 4 if variant.path in wrong else 0
            tile[border : TILE - border, border : TILE - border] = resize_chip(read_image(chip), TILE - 2 * border)
        rows.setdefault(variant.selfie, []).append(tile)
    write_image(path, np.vstack([np.hstack(tiles) for tiles in rows.values()]))
    print(f"{path} written")


if __name__ == "__main__":
    sys.exit(main())
