"""Keras models."""

import contextlib
import faulthandler
import os
import resource
from pathlib import Path

import numpy as np

from fuzzing.feature_files import DESCRIPTION, check_head
from fuzzing.target import EXTRACTOR, check
from utils.cli import InputError


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
