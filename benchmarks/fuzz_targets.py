"""What benchmarks/fuzz.py tries: the suite's readers, valid files to alter, and what a reader may do with the rest."""

import contextlib
import faulthandler
import functools
import io
import json
import math
import os
import pickle
import random
import resource
import shutil
import sys
import types
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mutations
import numpy as np

from utils.cli import InputError

MATRIX = np.array([[1.5, -2.25, 3.0], [0.5, 100.0, -7.0]], np.float32)
MAX_MESSAGE = 1000  # characters of a refusal, which becomes one line
EXTRACTOR = "tiny-3-0123456789abcdef"


class InvalidValueError(Exception):
    """A reader returned something that it must not return."""


def check(condition: object, text: str) -> None:
    if not condition:
        raise InvalidValueError(text)


@dataclass(frozen=True)
class Target:
    """A reader and how to try it."""

    read: Callable[[bytes, Path], object]  # calls it on a file's content and checks what it returns; gets a folder
    seeds: Callable[[Path], object]  # writes valid files into a folder
    mutate: mutations.Mutation
    refusals: tuple[type[Exception], ...] = (InputError,)  # what the reader may raise
    seconds: float = 5.0  # of CPU for one input
    megabytes: int = 256  # of memory for one input
    rounds: int = 5000  # inputs until a fresh process takes over, so that what leaks is not taken for a bomb
    warm_up: Callable[[], object] = lambda: None  # imports what would count as the first input's memory


# Feature matrices


def pickle_seeds(folder: Path) -> None:
    number = 0
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for kind in ("<f2", "<f4", "<f8", ">f4"):
            for order in "CF":
                (folder / f"{number}").write_bytes(pickle.dumps(MATRIX.astype(kind, order=order), protocol))
                number += 1


def read_pickle(data: bytes, folder: Path) -> None:
    from utils.features.safe_pickle import unpickle_matrix

    check_matrix(unpickle_matrix(data))


def check_matrix(matrix: np.ndarray) -> None:
    check(matrix.dtype == np.float32 and matrix.ndim == 2 and matrix.size, f"{matrix.dtype} {matrix.shape}")
    check(np.isfinite(matrix).all(), "a number is not finite")
    check(matrix.flags.writeable and matrix.flags.c_contiguous, "not an array of its own")


# JSON files


def write_features(folder: Path) -> Path:
    """Feature files of one person; returns the manifest's path."""
    from utils.features.feature_files import ImageEntry, feature_path, save_person

    images = [ImageEntry(f"ada_{number}.png", 12345 + number, 1_700_000_000_000_000_000) for number in range(2)]
    save_person(folder, "ada", MATRIX, images, EXTRACTOR, 1)
    return feature_path(folder, "ada").with_suffix(".json")


def manifest_seeds(folder: Path) -> None:
    shutil.copy(write_features(folder.parent / "features"), folder / "manifest.json")


def read_manifest(data: bytes, folder: Path) -> None:
    from utils.features.feature_files import feature_path, load_features, load_person, save_rows

    write_features(folder).write_bytes(data)
    person = load_person(folder, "ada")
    check(person.matrix.shape == (2, 3), "another matrix")
    features = load_features(folder)
    check(len(features.images) == 2 and all(isinstance(name, str) for name in features.images), "odd images")
    check(features.extractor is None or isinstance(features.extractor, str), "odd extractor")
    if person.manifest:  # what was read can be written again
        save_rows(folder, "ada", person.rows(), person.manifest.extractor, person.manifest.align)
        check(feature_path(folder, "ada").is_file() and load_person(folder, "ada").manifest, "cannot be written again")


def normalization_seeds(folder: Path) -> None:
    from utils.features.normalization import Normalization, save_normalization

    spread = np.array([0.5, 0.25, 2.0])
    for number, extractor in enumerate((EXTRACTOR, None)):
        path = save_normalization(folder, Normalization(0.1, 1.5, 20, MATRIX[0].astype(float), spread, extractor))
        path.rename(folder / f"{number}.json")


def read_normalization(data: bytes, folder: Path) -> None:
    from utils.features.normalization import NORMALIZATION_FILE, load_normalization

    (folder / NORMALIZATION_FILE).write_bytes(data)
    found = load_normalization(folder, 3, EXTRACTOR)
    # A head's first layer computes x · (1 / std) − mean / std in float32.
    with np.errstate(over="ignore"):
        numbers = np.float32([found.mean, found.std, 1 / found.std, found.mean / found.std])
    check(np.isfinite(numbers).all() and numbers[1] > 0, f"not finite in float32: {numbers}")
    check(found.dimension_mean.shape == found.dimension_std.shape == (3,), "odd shapes")
    check(np.isfinite(found.dimension_mean).all() and np.isfinite(found.dimension_std).all(), "not finite")
    check(isinstance(found.extractor, str | None) and found.count >= 1, f"{found.extractor!r} {found.count}")


DESCRIPTION = {
    "dimension": 3,
    "extractor": EXTRACTOR,
    "head": "plda",
    "threshold": 0.93,
    "min_votes": None,
    "far": 1e-3,
    "thresholds": [[0.1, 0.6], [0.03, 0.8], [0.01, 0.9], [1e-3, 0.93]],
    "threshold_interval": [0.9, 0.95],
    "held_out": {"auc": 0.99, "people": ["ada", "bob"]},
    "held_out_people": ["ada", "Zoë"],
    "calibration": None,
    "id": "0123456789abcdef",
}


def head_seeds(folder: Path) -> None:
    (folder / "0.json").write_text(json.dumps(DESCRIPTION))
    (folder / "1.json").write_text(json.dumps(DESCRIPTION | {"min_votes": 0.85, "far": None, "thresholds": []}))


def fake_similarity() -> types.SimpleNamespace:
    """What Head looks at in a Keras model."""
    side, output = types.SimpleNamespace(shape=(None, 3)), types.SimpleNamespace(shape=(None, 1))
    return types.SimpleNamespace(inputs=[side, side], outputs=[output], layers=[])


def read_head(data: bytes, folder: Path) -> None:
    import zipfile

    from utils.heads.head import Head, _load_description

    path = folder / "similarity.keras"
    with zipfile.ZipFile(path, "w") as archive:  # without a description of its own
        archive.writestr("metadata.json", "{}")
    path.with_suffix(".json").write_bytes(data)
    check_head(Head(fake_similarity(), _load_description(path, True)))


def check_head(head: object) -> None:
    check(0 <= head.threshold <= 1 and (head.min_votes is None or 0 <= head.min_votes <= 1), "odd rule")
    check(head.far is None or 0 <= head.far <= 1, f"odd rate {head.far}")
    with np.errstate(all="raise", under="ignore"):
        for people in (1, 2, 10, 1000, 10**6):
            threshold = head.threshold_for(people)
            check(math.isfinite(threshold) and 0 <= threshold <= 1, f"threshold {threshold} for {people} people")
    check(all(isinstance(name, str) for name in head.held_out_people), "odd people")
    check(isinstance(head.extractor, str | None), "odd extractor")


# dlib's weights


def weights_seeds(folder: Path) -> None:
    from utils.features.dlib_network import find_dlib_weights

    shutil.copy(find_dlib_weights(), folder / "weights.dat")


def read_weights(data: bytes, folder: Path) -> None:
    from utils.features.dlib_network import read_dlib_weights

    weights = read_dlib_weights(data)
    arrays = [*weights.kernels, *weights.biases, *weights.gammas, *weights.betas, weights.dense, weights.mean_rgb]
    check(len(arrays) == 4 * 29 + 2, "odd number of arrays")
    check(all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays), "odd numbers")


@functools.lru_cache(maxsize=1)
def _weight_tokens(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of everything that the reader reads in a valid file."""
    from utils.features import dlib_network

    tokens = []

    class Recorder(dlib_network._Stream):
        def read(self, count: int) -> bytes:
            tokens.append((self.position, self.position + count))
            return super().read(count)

    original, dlib_network._Stream = dlib_network._Stream, Recorder
    try:
        dlib_network.read_dlib_weights(data)
    finally:
        dlib_network._Stream = original
    return tokens


def mutate_weights(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter the file where it is not weights: integers in dlib's form, names, flags; some weights, too."""
    tokens = _weight_tokens(data)
    out = data
    for _ in range(rng.randint(1, 3)):
        index = rng.randrange(len(tokens)) if rng.random() < 0.7 else rng.randrange(60)
        start, end = tokens[index]
        kind, number = rng.randrange(7), abs(rng.choice(mutations.INTERESTING))
        if kind == 0:
            size = rng.randint(1, 8)
            part = bytes([size | rng.choice((0, 0, 0x80))]) + (number % (1 << 8 * size)).to_bytes(size, "little")
        elif kind == 1:
            part = mutations.interesting_bytes(rng)
        elif kind == 2:
            part = b""
        elif kind == 3:
            part = out[start:end][:100] * 2
        elif kind == 4:
            part = mutations.mutate_bytes(out[start : min(end, start + 200)], [data[:4000]], rng)
        elif kind == 5:  # numbers that are none, in the middle of the weights
            part = rng.choice((b"\0\0\x80\x7f", b"\0\0\xc0\x7f", b"\xff\xff\x7f\x7f"))
            end = start + 4
        else:
            other = tokens[rng.randrange(len(tokens))]
            part = data[other[0] : min(other[1], other[0] + 200)]
        out = out[:start] + part + out[end:]
    return out


# Keras models


def _tiny_extractor() -> object:
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    x = layers.Conv2D(4, 3, name="convolution")(x)
    x = layers.BatchNormalization(name="normalization")(x)
    return Model(image, layers.GlobalAveragePooling2D(name="pooling")(x), name="tiny")


def model_seeds(folder: Path) -> None:
    from utils.features.normalization import Normalization
    from utils.heads.head import save_head
    from utils.heads.models import create_model, dense_similarity, distance_similarity, plda_similarity
    from utils.heads.plda import Plda
    from utils.keras_models import import_keras, save_model

    import_keras()
    rng = np.random.default_rng(0)
    plda = Plda(np.zeros(3), rng.standard_normal((3, 2)), rng.standard_normal(2), 0.5)
    scale = Normalization(0.1, 1.5, 20, np.zeros(3), np.ones(3), EXTRACTOR)
    dense = dense_similarity(_tiny_dense(), scale)
    heads = {"plda": plda_similarity(plda), "distance": distance_similarity(3, 2.0, 1.0), "dense": dense}
    for suffix in (".keras", ".h5"):
        save_model(_tiny_extractor(), folder / f"extractor{suffix}")
        for name, head in heads.items():
            save_head(folder / f"{name}{suffix}", head, DESCRIPTION | {"head": name})
    save_model(create_model((3,)), folder / "recipe.keras")
    for path in folder.glob("*.json"):
        path.unlink()


def _tiny_dense() -> object:
    from keras import Input, Model, layers

    difference = Input((3,), name="difference")
    x = layers.Dense(4, name="dense")(difference)
    x = layers.Dense(1, name="logit")(x)
    return Model(difference, layers.Activation("sigmoid", name="probability")(x), name="head")


def read_model_parts(data: bytes, folder: Path) -> None:
    """What is read of a model besides Keras' own loading, which is slow; the check runs in a fork, which is fast."""
    from utils import keras_models, model_file

    path = folder / "similarity.keras"
    path.write_bytes(data)
    model_file.is_hdf5(path)
    pid = os.fork()
    if not pid:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
        try:
            model_file.check_content(path)
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitpid(pid, 0)[1]:  # in the suite a subprocess, whose crash or endless loop is a refusal, too
        raise InputError("refused by the check")
    model_file.trust(path)
    check(isinstance(keras_models.read_layer_names(path), set), "odd names")
    note = keras_models.read_note(path, "siamese_faces_head")
    check(note is None or isinstance(note, dict), "odd note")


def read_model(data: bytes, folder: Path) -> None:
    """Load a model as an extractor and as a head, and use it."""
    import keras

    from utils.features.extractor import load_extractor
    from utils.heads.head import load_head

    keras.backend.clear_session()
    path = folder / "similarity.keras"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        extractor = load_extractor(path)
        check(extractor.dimension > 0 and 0 < extractor.size <= 2048, "odd shape")
        return
    head = load_head(path)
    check_head(head)
    check(head.dimension > 0, "odd shape")


def load_keras() -> None:
    from utils.keras_models import import_keras

    import_keras()
    import h5py  # noqa: F401

    from utils.features import extractor  # noqa: F401
    from utils.heads import head  # noqa: F401


def load_hdf5() -> None:
    import h5py  # noqa: F401

    from utils import keras_models  # noqa: F401


# ONNX networks


def onnx_seeds(folder: Path) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    import onnx_networks

    for name in ("ir_resnet", "mobilefacenet", "ghostnet", "edgeface", "quantized", "half"):
        getattr(onnx_networks, f"write_{name}")(folder / f"{name}.onnx")


def mutate_onnx(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter nodes, attributes, shapes and constants of a network, or bytes of the file."""
    import onnx

    if rng.random() < 0.3:
        return mutations.mutate_bytes(data, others, rng, within=rng.choice((None, 4096)))
    model = onnx.ModelProto.FromString(data)
    nodes, tensors = model.graph.node, model.graph.initializer
    for _ in range(rng.randint(1, 3)):
        if not nodes or not tensors:
            break
        node, tensor, kind = rng.choice(nodes), rng.choice(tensors), rng.randrange(9)
        number = rng.choice([*mutations.INTERESTING[20:-20], *range(-3, 4)])
        if kind == 0:
            nodes.remove(node)
        elif kind == 1:
            nodes.add().CopyFrom(node)
        elif kind == 2:
            node.op_type = rng.choice([*{other.op_type for other in nodes}, "Loop", "Range", "Expand", "Tile", "If"])
        elif kind == 3 and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(["", tensor.name, *rng.choice(nodes).output])
        elif kind == 4 and node.attribute:
            _mutate_attribute(rng.choice(node.attribute), number, rng)
        elif kind == 5 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = number
        elif kind == 6:
            tensor.raw_data = mutations.mutate_bytes(tensor.raw_data[:4096], others, rng)
        elif kind == 7:
            tensor.data_type = rng.randint(0, 30)
        else:
            dims = model.graph.input[0].type.tensor_type.shape.dim
            dims[rng.randrange(len(dims))].dim_value = rng.choice((number, 1, 3, 16, 1 << 14))
    return model.SerializeToString()


def _mutate_attribute(attribute: object, number: int, rng: random.Random) -> None:
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = number
    elif rng.random() < 0.5:
        attribute.i = number
    else:
        attribute.f = rng.choice((float("nan"), float("inf"), 1e38, 0.0, -1.0))
    if rng.random() < 0.2:
        attribute.type = rng.randint(0, 14)


def read_onnx_file(data: bytes, folder: Path) -> None:
    """Parse a network and compute what depends on constants alone."""
    from utils.features.onnx_file import FOLDABLE, node_attributes, parse_onnx

    file = parse_onnx(data)
    values = dict(file.constants) | {"": None}
    for node in file.nodes:
        with contextlib.suppress(ValueError):
            node_attributes(node)
            if node.op_type in FOLDABLE and all(name in values for name in node.input):
                results = file.fold(node, [values[name] for name in node.input])
                check(all(isinstance(result, np.ndarray) for result in results), "odd results")
                values.update(zip(node.output, results, strict=False))


def build_onnx(data: bytes, folder: Path) -> None:
    """Rebuild a network and compare it with ONNX Runtime, as network.py does."""
    import keras

    from utils.features.onnx_extractor import build_from_onnx
    from utils.features.onnx_network import NO_OPTIONS

    keras.backend.clear_session()
    path = folder / "network.onnx"
    path.write_bytes(data)
    model = build_from_onnx(path, NO_OPTIONS, "pretrained", ("rgb_0_255", "preprocessing"), lambda line: None)
    check(len(model.output_shape) == 2 and model.output_shape[1] > 1, f"{model.output_shape}")


def load_onnx() -> None:
    import onnx.reference
    import onnx.shape_inference  # noqa: F401

    from utils.features import onnx_file  # noqa: F401


def load_onnx_and_keras() -> None:
    load_onnx()
    load_keras()
    from utils.telemetry import disable_telemetry

    disable_telemetry()
    import onnxruntime  # noqa: F401

    from utils.features import onnx_extractor  # noqa: F401


# Pairs files and names


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


# Images and videos


def picture() -> np.ndarray:
    """RGB uint8 (24, 32, 3)."""
    y, x = np.mgrid[:24, :32]
    return np.stack([x * 8, y * 10, (x + y) * 4], axis=2).astype(np.uint8)


def image_seeds(folder: Path) -> None:
    import cv2
    from PIL import Image
    from pillow_heif import register_heif_opener

    register_heif_opener()
    color = Image.fromarray(picture())
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    options = {"jpeg": {"exif": exif}, "webp": {"exif": exif}, "heif": {"exif": exif}, "png": {"exif": exif}}
    for kind in ("jpeg", "png", "bmp", "webp", "tiff", "gif", "ppm", "jpeg2000", "avif", "heif"):
        color.save(folder / f"rgb.{kind}", kind, **options.get(kind, {}))
    color.save(folder / "progressive.jpeg", "jpeg", progressive=True)
    color.save(folder / "lossless.webp", "webp", lossless=True)
    color.save(folder / "animated.webp", "webp", save_all=True, append_images=[color.rotate(90)])
    color.save(folder / "animated.gif", "gif", save_all=True, append_images=[color.rotate(90)])
    color.save(folder / "animated.png", "png", save_all=True, append_images=[color.rotate(90)])
    for mode, kind in (("L", "jpeg"), ("CMYK", "jpeg"), ("RGBA", "png"), ("P", "png"), ("LA", "png"), ("1", "png")):
        color.convert(mode).save(folder / f"{mode}.{kind}", kind)
    for kind in ("RGBA", "CMYK", "L", "1", "P"):
        color.convert(kind).save(folder / f"{kind}.tiff", "tiff", compression="tiff_lzw")
    color.save(folder / "deflate.tiff", "tiff", compression="tiff_adobe_deflate")
    color.save(folder / "jpeg.tiff", "tiff", compression="jpeg")
    for name, dtype, suffixes in (("u16", np.uint16, (".png", ".tiff", ".jp2")), ("f4", np.float32, (".tiff",))):
        for suffix in suffixes:
            for levels in (picture().astype(dtype) * 16, picture()[..., 0].astype(dtype)):
                levels = np.kron(levels, np.ones((4, 4, 1)[: levels.ndim], dtype))  # JPEG 2000 needs so many pixels
                (folder / f"{name}_{levels.ndim}{suffix}").write_bytes(cv2.imencode(suffix, levels)[1].tobytes())
    # Formats that Pillow knows and that no photo has, under a photo's name.
    for kind in ("eps", "pcx", "tga", "icns", "dds", "im", "sgi", "ico", "pdf"):
        with contextlib.suppress(Exception):
            color.save(folder / f"foreign.{kind}", kind)


def read_image(data: bytes, folder: Path) -> None:
    from utils.media.images import MAX_PIXELS, decode_image

    image = decode_image(data, shrink=(1, 2, 4, 8)[len(data) % 4])
    check(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size, f"{image.shape}")
    check(image.shape[0] * image.shape[1] <= MAX_PIXELS, f"too many pixels: {image.shape}")
    check(image.flags.c_contiguous and image.flags.writeable, "not an array of its own")


VIDEOS = (("mp4", "mpeg4"), ("mp4", "libx264"), ("avi", "mjpeg"), ("webm", "libvpx-vp9"), ("mkv", "libx264"))
VIDEOS += (
    ("ts", "mpeg2video"),
    ("mov", "mjpeg"),
    ("flv", "flv"),
    ("mpg", "mpeg1video"),
    ("3gp", "mpeg4"),
    ("wmv", "wmv2"),
)


def video_seeds(folder: Path) -> None:
    import av

    for container, codec in VIDEOS:
        file = io.BytesIO()
        kind = {"mkv": "matroska", "ts": "mpegts", "wmv": "asf", "mpg": "mpeg"}.get(container, container)
        try:
            with av.open(file, "w", format=kind) as output:
                stream = output.add_stream(codec, rate=25)
                stream.width, stream.height = 64, 48
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                for number in range(8):
                    image = np.kron(np.roll(picture(), number, axis=1), np.ones((2, 2, 1), np.uint8))
                    output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                output.mux(stream.encode())
        except (av.FFmpegError, ValueError):  # a codec that this build of FFmpeg lacks
            continue
        (folder / f"{codec}.{container}").write_bytes(file.getvalue())


def read_video(data: bytes, folder: Path) -> None:
    from utils.media.video import VideoSource

    path = folder / "film.mp4"
    path.write_bytes(data)
    source, last = VideoSource(path), 0.0
    try:
        for frame in source.frames():
            image = frame.image
            check(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size, f"{image.shape}")
            check(math.isfinite(frame.time) and frame.time >= last, f"time {frame.time} after {last}")
            last = frame.time
            if frame.index >= 30:
                break
    finally:
        source.close()


def load_media() -> None:
    import av  # noqa: F401
    import cv2

    from utils.media.images import _set_up_pillow
    from utils.media.video import VideoSource  # noqa: F401

    cv2.setNumThreads(1)
    _set_up_pillow()
    image = io.BytesIO()
    from PIL import Image

    Image.fromarray(picture()).save(image, "tiff")  # loads all of Pillow's formats


TARGETS = {
    "pickle": Target(read_pickle, pickle_seeds, mutations.mutate_pickle, (ValueError,), 2.0, 64),
    "sidecar": Target(read_manifest, manifest_seeds, mutations.mutate_json),
    "normalization": Target(read_normalization, normalization_seeds, mutations.mutate_json),
    "head": Target(read_head, head_seeds, mutations.mutate_json),
    "weights": Target(read_weights, weights_seeds, mutate_weights, (ValueError,), 10.0, 256, rounds=2000),
    "pairs": Target(read_pairs_file, pairs_seeds, mutations.mutate_text),
    "names": Target(read_name, names_seeds, mutate_name, (InputError,), 10.0, 512, warm_up=load_names),
    "image": Target(
        read_image, image_seeds, mutations.mutate_media, (ValueError, MemoryError), 20.0, 2048, warm_up=load_media
    ),
    "video_header": Target(
        read_video,
        video_seeds,
        mutations.mutate_media,
        (InputError, MemoryError),
        20.0,
        2048,
        rounds=1000,
        warm_up=load_media,
    ),
    "model": Target(read_model_parts, model_seeds, mutations.mutate_zip, megabytes=1024, warm_up=load_hdf5),
    "model_load": Target(
        read_model, model_seeds, mutations.mutate_zip, seconds=120.0, megabytes=4096, rounds=200, warm_up=load_keras
    ),
    "onnx": Target(read_onnx_file, onnx_seeds, mutate_onnx, (ValueError,), 20.0, 1024, warm_up=load_onnx),
    "onnx_load": Target(
        build_onnx, onnx_seeds, mutate_onnx, seconds=120.0, megabytes=6144, rounds=100, warm_up=load_onnx_and_keras
    ),
}
