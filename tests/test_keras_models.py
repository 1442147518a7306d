"""Keras files: names with and without extension, safe loading."""

import shutil

import pytest

from utils.cli import InputError
from utils.features.extractor import load_extractor
from utils.keras_models import find_model, new_model_path, padded_batch_size, save_model


@pytest.mark.slow
def test_names_with_and_without_extension(tmp_path, extractor_path):

    assert new_model_path(tmp_path / "model_name") == tmp_path / "model_name.keras"
    assert new_model_path(tmp_path / "v1.5") == tmp_path / "v1.5.keras"
    assert new_model_path(tmp_path / "model_name.h5") == tmp_path / "model_name.h5"
    with pytest.raises(InputError, match="no model at"):
        find_model(tmp_path / "nothing")
    model = load_extractor(extractor_path).model
    save_model(model, tmp_path / "there.h5")
    assert find_model(tmp_path / "there") == tmp_path / "there.h5"
    # Old Keras saved HDF5 under the given name, without adding an extension.
    shutil.copy(tmp_path / "there.h5", tmp_path / "model_name")
    shutil.copy(extractor_path, tmp_path / "zipped")
    for name in ("there", "there.h5", "model_name", "zipped"):
        assert load_extractor(tmp_path / name).dimension == 128


def test_only_safe_models_load(tmp_path):
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    hostile = Model(image, layers.Lambda(lambda x: x[:, 0, 0])(image))
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"hostile{suffix}"
        hostile.save(path)
        with pytest.raises(InputError, match="loaded safely"):
            load_extractor(path)
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(InputError, match=r"text\.keras"):
        load_extractor(tmp_path / "text.keras")


def test_batches_are_padded_to_powers_of_two():
    assert [padded_batch_size(count) for count in (1, 2, 3, 4, 5, 64, 65)] == [1, 2, 4, 4, 8, 64, 128]
