"""Training: the loss, held-out people, strangers and the learning curve."""

import numpy as np
import pytest
from support import gaussian_people

from utils.heads.fitting import fit_head
from utils.heads.options import TrainingOptions
from utils.heads.pairs import PADDING_LABEL, STRANGER_LABEL
from utils.heads.training import all_pairs_loss, plot_learning_curve


def test_loss_counts_all_pairs_but_those_of_two_strangers():
    labels = np.array([0, 0, 1, 1, 1, 2, STRANGER_LABEL, STRANGER_LABEL])
    values = np.random.default_rng(4).normal(size=(8, 8)).astype(np.float32)
    same, different = [], []
    for i in range(8):
        for j in range(8):
            value = values[i, j] + np.log(0.1 / 0.9)
            if labels[i] != labels[j]:
                different.append(np.log1p(np.exp(value)))
            elif i != j and labels[i] != STRANGER_LABEL:
                same.append(np.log1p(np.exp(-value)))
    assert len(same) == 8 and len(different) == 64 - 8 - 8 - 2
    found = float(all_pairs_loss(labels[:, None], values))
    assert found == pytest.approx(np.mean(same) + 9 * np.mean(different), rel=1e-5)
    filled = np.r_[labels, [PADDING_LABEL] * 2][:, None], np.pad(values, (0, 2), constant_values=50)
    assert float(all_pairs_loss(*filled)) == pytest.approx(found, rel=1e-5)


@pytest.mark.slow
def test_training_beats_distance_on_held_out_people():
    matrix, labels = gaussian_people(300, 4, dimension=16, spread=0.8)
    fitted = fit_head(matrix, labels, TrainingOptions(far=0.01), np.random.default_rng(0))
    assert fitted.figures.auc > fitted.figures.euclidean_auc + 0.01 and fitted.figures.people == 60
    assert not set(labels[fitted.held]) & set(np.delete(labels, fitted.held)) and len(fitted.held) == 240
    assert fitted.description["calibration"]["error_after"] < 0.03
    low, high = fitted.description["threshold_interval"]
    assert low <= fitted.head.threshold <= high and fitted.head.far == 0.01
    assert len(fitted.history["loss"]) == 15 and fitted.history["val_loss"][-1] < fitted.history["val_loss"][0]
    again = fit_head(matrix, labels, TrainingOptions(far=0.01), np.random.default_rng(0))
    pair = matrix[fitted.held[:100]], matrix[fitted.held[100:200]]
    np.testing.assert_array_equal(again.head.score_pairs(*pair), fitted.head.score_pairs(*pair))


@pytest.mark.slow
def test_training_learns_to_reject_strangers():
    matrix, labels = gaussian_people(120, 3, dimension=8)
    rng = np.random.default_rng(10)
    # They resemble the people in all dimensions but one, in which people do not differ.
    strangers = matrix[rng.permutation(len(matrix))[:100]].copy()
    strangers[:, 0] += 1.5
    options = TrainingOptions(epochs=8, learning_rate=0.01, far=0.01)
    heads = [fit_head(matrix, labels, options, np.random.default_rng(0), others).head for others in (None, strangers)]
    scores = [head.score_gallery(strangers, matrix).max(axis=1).mean() for head in heads]
    assert scores[1] < scores[0]


@pytest.mark.slow
def test_learning_curve_compares_like_with_like():
    """Training people who are like the held-out people have the same loss, up to the noise of the batches."""
    matrix, labels = gaussian_people(600, 3, dimension=4)
    options = TrainingOptions(epochs=2, learning_rate=1e-7, holdout=0.5)
    history = fit_head(matrix, labels, options, np.random.default_rng(0)).history
    assert history["loss"] == pytest.approx(history["val_loss"], rel=0.1)
    assert history["loss"][0] == pytest.approx(history["loss"][1], rel=1e-3)  # the same batches in every epoch


def test_learning_curve_is_written_as_png_and_svg(tmp_path):
    plot_learning_curve({"loss": [1.0, 0.5], "val_loss": [1.2, 0.9]}, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "curve.svg").read_text()
