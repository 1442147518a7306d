"""Keras models that attack, and files that are no models."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from hostile_pickles import Hostile


def tiny_model(kernel: float = 0.5):
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    convolution = layers.Conv2D(4, 3, name="convolution")
    model = Model(image, layers.GlobalAveragePooling2D()(convolution(image)), name="tiny")
    convolution.set_weights([np.full((3, 3, 3, 4), kernel, np.float32), np.zeros(4, np.float32)])
    return model


def altered(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of a .keras file with other parts."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


def declare_huge_weights(members: dict[str, bytes]) -> None:
    data = io.BytesIO(members["model.weights.h5"])
    with h5py.File(data, "a") as file:  # takes no space until it is filled
        file.create_dataset("huge", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))
    members["model.weights.h5"] = data.getvalue()


def link_foreign_weights(members: dict[str, bytes]) -> None:
    data = io.BytesIO(members["model.weights.h5"])
    with h5py.File(data, "a") as file:
        file["linked"] = h5py.ExternalLink("/etc/passwd", "/")
    members["model.weights.h5"] = data.getvalue()


def take_foreign_weights(members: dict[str, bytes]) -> None:
    data = io.BytesIO(members["model.weights.h5"])
    with h5py.File(data, "a") as file:
        file.create_dataset("read", (4,), "u1", external=[("/etc/passwd", 0, 4)])
    members["model.weights.h5"] = data.getvalue()


HOSTILE_MODELS = {
    "config.json of 100 MB": lambda members: members.update({"config.json": b" " * 100_000_000}),
    "metadata of 100 MB": lambda members: members.update({"metadata.json": b" " * 100_000_000}),
    "2000 parts": lambda members: members.update({f"assets/{number}": b"" for number in range(2000)}),
    "part of 300 MB": lambda members: members.update({"assets/zeros": bytes(300_000_000)}),
    "weights of 4 TB": declare_huge_weights,
    "linked weights": link_foreign_weights,
    "weights in another file": take_foreign_weights,
    "no weights": lambda members: members.pop("model.weights.h5"),
    "no config": lambda members: members.pop("config.json"),
    "empty config": lambda members: members.update({"config.json": b"{}"}),
    "nested config": lambda members: members.update({"config.json": b"[" * 100_000}),
    "odd config": lambda members: members.update({"config.json": b"\xff"}),
    "damaged weights": lambda members: members.update({"model.weights.h5": members["model.weights.h5"][:500]}),
    "unknown class": lambda members: members.update(
        {"config.json": members["config.json"].replace(b'"Conv2D"', b'"system"').replace(b'"keras.layers"', b'"os"')}
    ),
}


def write_files_that_are_no_models(folder: Path, good: Path, marker: Path) -> list[Path]:
    """Write what is not a model, or not a whole one. Returns the paths. marker: is made if one of them runs code."""
    data = good.read_bytes()
    files = {
        "empty.keras": b"",
        "text.keras": b"my notes",
        "zeros.keras": bytes(4096),
        "picture.keras": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "pickle.keras": pickle.dumps(Hostile(os.system, f"touch '{marker}'")),
        "pickle.h5": pickle.dumps(Hostile(os.system, f"touch '{marker}'")),
        "half.keras": data[: len(data) // 2],
        "no end.keras": data[:-30],
        "signature.h5": b"\x89HDF\r\n\x1a\n",
        "noise.h5": b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(4096),
        "empty archive.keras": b"PK\x05\x06" + bytes(18),
        "onnx.keras": b"\x08\x07\x12\x07pytorch:\x00",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "saved" / "variables").mkdir(parents=True)
    (folder / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    (folder / "folder.keras").mkdir()
    os.mkfifo(folder / "pipe.keras")
    (folder / "device.keras").symlink_to("/dev/zero")
    (folder / "dangling.keras").symlink_to("nowhere.keras")
    (folder / "loop.keras").symlink_to("loop.keras")
    return sorted(folder.iterdir())


def write_hostile_models(folder: Path, good: Path) -> list[Path]:
    """Write models that run code, lie about their size or compute with numbers that are none. Returns the paths."""
    from keras import Input, Model, layers

    folder.mkdir(parents=True, exist_ok=True)
    paths = [altered(good, folder / f"{name}.keras", change) for name, change in HOSTILE_MODELS.items()]
    image, wide = Input((8, 8, 3), name="rgb_0_255"), Input((60_000, 60_000, 3), name="rgb_0_255")
    code = Model(image, layers.Lambda(lambda x: x[:, 0, 0])(image))
    models = {
        "lambda.keras": code,
        "lambda.h5": code,
        "not finite.keras": tiny_model(np.nan),
        "infinite.h5": tiny_model(np.inf),
        "huge input.keras": Model(wide, layers.GlobalAveragePooling2D()(wide)),
    }
    for name, model in models.items():
        model.save(folder / name)
        paths.append(folder / name)
    return paths
