"""Statistics equal numpy's, and only valid files of the same features are read."""

import numpy as np
import pytest

from utils.cli import InputError
from utils.features.feature_files import PersonFeatures
from utils.features.normalization import Normalization, gather_statistics, load_normalization, save_normalization


def test_statistics_in_one_pass_equal_numpys():
    rng = np.random.default_rng(2)
    matrices = [rng.normal(size=(n, 5)) * [1, 2, 3, 4, 5] + [0, 10, -5, 1e4, 3] for n in (1, 7, 30, 2)]
    whole = np.concatenate(matrices)
    statistics = gather_statistics(PersonFeatures("", matrix, None) for matrix in matrices)
    assert statistics.count == 40
    np.testing.assert_allclose([statistics.mean, statistics.std], [whole.mean(), whole.std()], rtol=1e-10)
    np.testing.assert_allclose(statistics.dimension_mean, whole.mean(0), rtol=1e-10)
    np.testing.assert_allclose(statistics.dimension_std, whole.std(0), rtol=1e-10)
    with pytest.raises(ValueError, match="no people"):
        gather_statistics([])


def test_normalization_file(tmp_path):
    statistics = Normalization(0.5, 2.0, 3, np.zeros(4), np.ones(4), "one-4-abc")
    save_normalization(tmp_path, statistics)
    assert load_normalization(tmp_path, 4, "one-4-abc").std == 2.0
    with pytest.raises(InputError, match=r"one-4-abc.*two-4-def"):
        load_normalization(tmp_path, 4, "two-4-def")
    with pytest.raises(InputError, match="4 dimensions, the features 5"):
        load_normalization(tmp_path, 5, None)
    (tmp_path / "normalization.json").write_text('{"mean": 1}')
    with pytest.raises(InputError, match=r"not written by compute_mean\.py"):
        load_normalization(tmp_path, 4, None)
    with pytest.raises(InputError, match=r"run compute_mean\.py"):
        load_normalization(tmp_path / "nowhere", 4, None)


@pytest.mark.parametrize(
    "text",
    [
        '{"mean": NaN, "std": Infinity, "count": 1, "extractor": null, "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": 0, "std": 1, "count": Infinity, "extractor": null, "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": 0, "std": 0, "count": 1, "extractor": null, "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": 0, "std": 1, "count": 1, "extractor": null, "dimension_mean": {}, "dimension_std": [1]}',
        '{"mean": 0, "std": 1, "count": 0, "extractor": null, "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": 0, "std": 1, "count": 1, "extractor": [], "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": 0, "std": 1, "count": 1, "extractor": null, "dimension_mean": [null], "dimension_std": [1]}',
        '{"mean": 0, "std": 1, "count": 1, "extractor": null, "dimension_mean": [0], "dimension_std": [1, 1]}',
        # Not finite in float32, in which a head computes with the mean, the deviation and its inverse.
        '{"mean": 1e300, "std": 1, "count": 1, "extractor": null, "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": 0, "std": 1e300, "count": 1, "extractor": null, "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": 0, "std": 5e-324, "count": 1, "extractor": null, "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": 1e30, "std": 1e-30, "count": 1, "extractor": null, "dimension_mean": [0], "dimension_std": [1]}',
        '{"mean": "' + "a" * 9999 + '", "std": 1}',
        "[" * 200_000,
        "[]",
        "\xff",
    ],
)
def test_invalid_statistics_are_refused(tmp_path, text):
    (tmp_path / "normalization.json").write_bytes(text.encode("latin1"))
    with pytest.raises(InputError) as error:
        load_normalization(tmp_path, 1, None)
    assert len(str(error.value)) < 500
