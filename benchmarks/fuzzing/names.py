"""Pairs files and names of people."""

import json
import os
import random
import unicodedata
from pathlib import Path

import numpy as np

from fuzzing import mutations
from fuzzing.media import load_media
from fuzzing.target import EXTRACTOR, MATRIX, MAX_MESSAGE, check
from utils.cli import InputError


def pairs_seeds(folder: Path) -> None:
    lines = ["2\t2"] + ["ada\t1\t2", "bob\t1\t3", "ada\t1\tbob\t2", "Zoë Ray\t3\tbob\t1"] * 2
    (folder / "tabs").write_text("\n".join(lines), encoding="utf-8")
    lines = ["3"] + ["ada 1 2"] * 3 + ["ada 1 bob 2"] * 3
    (folder / "spaces").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_pairs_file(data: bytes, folder: Path) -> None:
    from utils.evaluation.pairs import check_folds, image_rows, match_pairs, read_pairs

    path = folder / "pairs.txt"
    path.write_bytes(data)
    rows = image_rows([(name, f"{name}_{number:04}.jpg") for name in ("ada", "bob", "Zoë Ray") for number in (1, 2, 3)])
    lines = read_pairs(path)
    pairs, missing = match_pairs(lines, rows, np.repeat([0, 1, 2], 3))
    check(len(pairs) + len(missing) == len(lines) and len(pairs.folds) == len(pairs), "a line is lost")
    check(all(len(message) < MAX_MESSAGE for message in missing), "a message is too long")
    check_folds(pairs)


def names_seeds(folder: Path) -> None:
    names = [
        "ada",
        "Zoë Ray",
        unicodedata.normalize("NFD", "José"),
        "王小明",
        "محمد",
        "नीता",
        "a.b",
        "_strangers",
        "CON",
    ]
    names += ["Ada_0001", "-", "é" * 120, "rtsp://user:pass@cam:554/1?x=#", "🙂👨‍👩‍👧", "a\u202eb", "..."]
    for number, name in enumerate(names):
        (folder / str(number)).write_bytes(name.encode())


def mutate_name(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    if rng.random() < 0.4:
        return mutations.mutate_bytes(data, others, rng)
    letters = list(data.decode("utf-8", "surrogateescape"))
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(letters))
        odd = [
            "\u0301",
            "\ud800",
            "\udc80",
            "\n",
            "\x1b[2J",
            "\u202e",
            " ",
            ".",
            "_",
            "/",
            "\\",
            "ﬁ",
            "İ",
            "ß",
            "\u200d",
            "\ufeff",
        ]
        odd += [chr(rng.randrange(1, 0x110000)), chr(rng.randrange(1, 0x3000)), "é" * 100, "{}", "%s", "*", "[", "\t"]
        letters[at : at + rng.choice((0, 0, 1, 3))] = [rng.choice(odd)]
    return "".join(letters).encode("utf-8", "surrogatepass" if rng.random() < 0.5 else "replace")


def read_name(data: bytes, folder: Path) -> None:
    """Use a name as typed text, as a camera's address and on the screen, and as a folder's name if it can be one."""
    from utils.display.text import fit_text, text_mask, wrap_text
    from utils.live.enrollment import check_name
    from utils.media.camera import without_password

    text = os.fsdecode(data)
    check(text_mask(fit_text(text, 20, 200), 20).dtype == np.uint8, "odd mask")
    check(len(wrap_text(text, 20, 200, 3)) <= 3, "too many lines")
    if "@" in text:
        check("pass@" not in without_password("rtsp://user:pass@" + text), "the password is shown")
    typed, problem = check_name(text, ["Zoë Ray", unicodedata.normalize("NFD", "José")])
    if problem is None:
        use_as_person(typed, folder / "typed")
    raw = data.replace(b"/", b"").replace(b"\0", b"")
    if raw in (b"", b".", b".."):
        raise InputError("no name of a folder")
    if len(raw) > 200:  # the file system holds 255, of which the features' files need some
        raise InputError("too long")
    if not raw.startswith((b".", b"__")):
        use_as_person(os.fsdecode(raw), folder / "found")


def use_as_person(name: str, folder: Path) -> None:
    """Save a face, features and an event of a person, and find them again."""
    from utils.faces.folder import FaceSaver
    from utils.features.feature_files import STRANGERS, load_features, save_person
    from utils.files import one_spelling
    from utils.live.events import EventLog, event_line
    from utils.media.albums import describe_unread, read_album
    from utils.media.images import list_images, list_people
    from utils.media.video import Frame
    from utils.recognition.recognizer import NamedFace

    faces = folder / "faces"
    (faces / name).mkdir(parents=True)
    chip = np.full((4, 4, 3), 100, np.uint8)
    saved = [FaceSaver(faces / name).save(chip), FaceSaver(faces / name).save(chip)]
    check([path.name for path in list_people(faces)] == [name], "the folder is not found")
    check(list_images(faces / name) == sorted(saved), "a face is not found")
    album = read_album(faces, recursive=True)
    check([person.name for person in album.people] == [name] and len(album.photos) == 2, "not in the album")
    check(describe_unread(album.all_unread) == "", "something is unread")
    images = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in saved]
    if name != STRANGERS:
        save_person(folder / "features", name, MATRIX, images, EXTRACTOR, 1)
        features = load_features(folder / "features")
        check(features.names == [one_spelling(name)], "another name")
        check(features.images == [path.name for path in saved], "other images")
    log = EventLog(folder / "events.jsonl")
    log.write(event_line(Frame(chip, 0.0, name), [NamedFace((0, 0, 4, 4), name, 0.5, 0.5)]))
    log.close()
    line = json.loads((folder / "events.jsonl").read_text(encoding="utf-8"))
    check(os.fsencode(line["image"]) == os.fsencode(name) == os.fsencode(line["faces"][0]["name"]), "another name")


def load_names() -> None:
    from utils.display.text import text_mask

    text_mask("aم", 20)
    load_media()
