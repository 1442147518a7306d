"""Keras files: names with and without extension, safe loading, bounds, finite numbers, notes."""

import shutil

import hypothesis.strategies as st
import numpy as np
import pytest
from hostile_models import HOSTILE_MODELS, altered, tiny_model
from hypothesis import HealthCheck, given, settings

import extract_features
from utils.cli import InputError
from utils.features.keras_extractor import load_extractor_model
from utils.keras_models import (
    find_model,
    load_model,
    new_model_path,
    padded_batch_size,
    read_layer_names,
    read_note,
    save_model,
)


@pytest.mark.slow
def test_names_with_and_without_extension(tmp_path, extractor_path):

    assert new_model_path(tmp_path / "model_name") == tmp_path / "model_name.keras"
    assert new_model_path(tmp_path / "v1.5") == tmp_path / "v1.5.keras"
    assert new_model_path(tmp_path / "model_name.h5") == tmp_path / "model_name.h5"
    with pytest.raises(InputError, match="no model at"):
        find_model(tmp_path / "nothing")
    model, _ = load_extractor_model(extractor_path)
    save_model(model, tmp_path / "there.h5")
    assert find_model(tmp_path / "there") == tmp_path / "there.h5"
    # Old Keras saved HDF5 under the given name, without adding an extension.
    shutil.copy(tmp_path / "there.h5", tmp_path / "model_name")
    shutil.copy(extractor_path, tmp_path / "zipped")
    for name in ("there", "there.h5", "model_name", "zipped"):
        assert load_extractor_model(find_model(tmp_path / name))[0].output_shape == (None, 128)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MODEL.KERAS", "MODEL.H5", "Model.Hdf5"])
def test_suffixes_may_be_in_capitals(tmp_path, name):
    save_model(tiny_model(), tmp_path / name, {"key": {"number": 1}})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert read_note(tmp_path / name, "key") == {"number": 1}
    assert load_model(find_model(tmp_path / name)).output_shape == (None, 4)


@pytest.mark.hostile
def test_only_safe_models_load(tmp_path):
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    hostile = Model(image, layers.Lambda(lambda x: x[:, 0, 0])(image))
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"hostile{suffix}"
        hostile.save(path)
        with pytest.raises(InputError, match="loaded safely"):
            load_extractor_model(path)
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(InputError, match=r"text\.keras"):
        load_extractor_model(tmp_path / "text.keras")


def test_batches_are_padded_to_powers_of_two():
    assert [padded_batch_size(count) for count in (1, 2, 3, 4, 5, 64, 65)] == [1, 2, 4, 4, 8, 64, 128]


@pytest.mark.hostile
@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE_MODELS)
def test_hostile_models_are_one_line(tmp_path, name, capfd):
    save_model(tiny_model(), tmp_path / "good.keras")
    hostile = altered(tmp_path / "good.keras", tmp_path / "hostile.keras", HOSTILE_MODELS[name])
    line = ["--faces_path", str(tmp_path), "--model_path", str(hostile), "--features", str(tmp_path / "features")]
    (tmp_path / "ada").mkdir()
    capfd.readouterr()  # building the model may have started TensorFlow
    assert extract_features.main(line) == 2
    err = capfd.readouterr().err
    assert err.startswith(f"error: {hostile} ") and err.count("\n") == 1 and len(err) < 600
    assert load_extractor_model(tmp_path / "good.keras")[0].output_shape == (None, 4)


@pytest.mark.slow
def test_notes_and_more_parts_do_not_disturb_a_model(tmp_path):
    for name in ("a.keras", "a.h5"):
        save_model(tiny_model(), tmp_path / name, {"note": {"threshold": 0.5, "people": ["Zoë"] * 10_000}})
        assert load_extractor_model(tmp_path / name)[0].output_shape == (None, 4)
        assert read_note(tmp_path / name, "note")["people"][-1] == "Zoë"
        assert read_note(tmp_path / name, "other") is None
        assert {"convolution", "rgb_0_255"} <= read_layer_names(tmp_path / name)


@pytest.mark.hostile
@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_models_with_odd_weights_are_neither_saved_nor_loaded(tmp_path, value, suffix):
    path = tmp_path / f"model{suffix}"
    save_model(tiny_model(), path)
    with pytest.raises(InputError, match=r"not written: the weights of convolution/kernel .* not finite"):
        save_model(tiny_model(value), path)
    assert load_extractor_model(path)[0].output_shape == (None, 4)
    tiny_model(value).save(path)
    with pytest.raises(InputError, match="not finite"):
        load_extractor_model(path)


@pytest.mark.slow
def test_models_with_odd_settings_are_refused(tmp_path):
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    model = Model(image, layers.GlobalAveragePooling2D()(layers.Rescaling(float("nan"))(image)), name="NaN")
    with pytest.raises(InputError, match="settings of a layer"):
        save_model(model, tmp_path / "odd.keras")


@pytest.mark.hostile
@pytest.mark.slow
def test_absurdly_large_inputs_are_one_line(tmp_path):
    from keras import Input, Model, layers

    image = Input((60_000, 60_000, 3), name="rgb_0_255")
    save_model(Model(image, layers.GlobalAveragePooling2D()(image)), tmp_path / "large.keras")
    with pytest.raises(InputError, match="takes images of 60000 px: at most 2048"):
        load_extractor_model(tmp_path / "large.keras")


def test_a_saved_model_folder_is_recognized(tmp_path):
    (tmp_path / "old" / "variables").mkdir(parents=True)
    (tmp_path / "old" / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(InputError, match=r"SavedModel format wrote.*model\.save\('old\.keras'\)"):
        find_model(tmp_path / "old")


@pytest.mark.slow
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(position=st.floats(0, 1), part=st.binary(min_size=1, max_size=40), keep=st.booleans())
def test_damaged_models_are_a_model_or_one_line(tmp_path_factory, position, part, keep):
    folder = tmp_path_factory.mktemp("damaged")
    save_model(tiny_model(), folder / "model.keras")
    data = (folder / "model.keras").read_bytes()
    at = int(position * len(data))
    (folder / "model.keras").write_bytes(data[:at] + part + (data[at + len(part) :] if keep else b""))
    try:
        assert load_extractor_model(folder / "model.keras")
    except InputError as error:
        assert len(str(error)) < 500
