"""The plots of an evaluation, as PNG files: curves, histograms, identification."""

from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.evaluation.identification import FARS, NEAREST, OWN, Identification, Trials
from utils.evaluation.pairs import Pairs
from utils.evaluation.protocols import EUCLIDEAN, HEAD, PairScores
from utils.features.feature_files import FeatureSet
from utils.figures import (
    BLUE,
    CURVE_COLORS,
    DIFFERENT_PEOPLE_COLOR,
    SAME_PERSON_COLOR,
    SKY_BLUE,
    save_figure,
)
from utils.media.images import read_image, resize_chip
from utils.metrics import Roc, calibration_bins, roc

WORST = 10  # of each kind
COLUMNS = 5
PHOTO = 224  # pixels, as large as a photo is shown


def plot_verification(judged: PairScores, pairs: Pairs, operating_point: tuple[float, float], folder: Path) -> None:
    """Write roc.png and scores.png. operating_point: FAR and TAR at the head's own threshold."""
    curves = {name: roc(scores, pairs.same, pairs.weights) for name, scores in judged.scores.items()}
    plot_curves(curves, folder / "roc.png", operating_point)
    plot_scores(judged, pairs, folder / "scores.png")


def plot_curves(curves: dict[str, Roc], path: Path, operating_point: tuple[float, float] | None = None) -> None:
    """ROC and DET of each scorer side by side. operating_point: FAR and TAR at the head's own threshold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, curve), color in zip(curves.items(), CURVE_COLORS, strict=False):
        label = f"{name} (AUC {curve.auc:.4f}, EER {curve.eer:.2%})"
        left.plot(curve.far, curve.tar, color=color, label=label, drawstyle="steps-post")
        right.plot(*_deviates(curve.far, 1 - curve.tar), color=color, label=name)
    if operating_point:
        far, tar = operating_point
        mark = {"marker": "o", "markersize": 8, "markerfacecolor": "white", "color": BLUE, "linestyle": "none"}
        left.plot(max(far, _least_far(curves)), tar, label="the head's own threshold", **mark)
        right.plot(*_deviates(np.array([far]), np.array([1 - tar])), **mark)
    left.set(xscale="log", xlim=(_least_far(curves), 1), ylim=_tar_limits(curves))
    left.set(xlabel="false accept rate", ylabel="true accept rate", title="ROC")
    _percent_axis(left.yaxis)
    left.legend(loc="lower right")
    _deviate_axes(right, curves)
    right.set(xlabel="false accept rate", ylabel="false reject rate", title="DET (both errors on normal deviates)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def _least_far(curves: dict[str, Roc]) -> float:
    return max(1e-5, min(float(curve.far[curve.far > 0].min()) for curve in curves.values()))


def _tar_limits(curves: dict[str, Roc]) -> tuple[float, float]:
    lowest = min(curve.tar_at(_least_far(curves)) for curve in curves.values())
    return max(0.0, lowest - 0.05), 1.005


def _percent_axis(axis) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1, decimals=0))


DET_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95)


def _deviates(far: np.ndarray, frr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates on the scale on which scores of two normal distributions make a straight line.

    Martin et al., "The DET Curve in Assessment of Detection Task Performance" (1997).
    """
    from scipy.special import ndtri  # scikit-learn brings scipy

    return tuple(ndtri(np.clip(rates, 1e-7, 1 - 1e-7)) for rates in (far, frr))


def _deviate_axes(axes, curves: dict[str, Roc]) -> None:
    from scipy.special import ndtri

    least = {"x": _least_far(curves), "y": min(_least_frr(curve) for curve in curves.values())}
    most = {"x": 0.6, "y": min(0.95, max(1 - curve.tar_at(least["x"]) for curve in curves.values()) * 1.2 + 0.02)}
    for name in "xy":
        ticks = [tick for tick in DET_TICKS if least[name] <= tick <= most[name]]
        axes.set(
            **{
                f"{name}lim": ndtri([least[name] * 0.8, most[name]]),
                f"{name}ticks": ndtri(ticks),
                f"{name}ticklabels": [f"{100 * tick:g}%" for tick in ticks],
            }
        )


def _least_frr(curve: Roc) -> float:
    rejected = (1 - curve.tar)[curve.tar < 1 - 1e-9]
    return max(1e-4, float(rejected.min())) if len(rejected) else 1e-4


def plot_scores(judged: PairScores, pairs: Pairs, path: Path) -> None:
    """Histograms of each scorer's same and different pairs, and how well the head's probabilities are calibrated."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    *places, last = figure.subplots(2, 2).ravel()
    for axes, (name, scores) in zip(places, judged.scores.items(), strict=True):
        of_folds = list(judged.thresholds[name].values())
        threshold = np.median(judged.own_thresholds if name == HEAD else of_folds) if name == HEAD or of_folds else None
        _histogram(axes, name, scores, pairs, threshold)
    _reliability(last, *calibration_bins(judged.scores[HEAD], pairs.same, pairs.weights))
    save_figure(figure, path)


def _histogram(axes, name: str, scores: np.ndarray, pairs: Pairs, threshold: float | None) -> None:
    unit = {HEAD: "probability", EUCLIDEAN: "distance"}.get(name, "similarity")
    sign = -1 if name == EUCLIDEAN else 1
    shown = sign * scores
    bins = np.linspace(0, 1, 51) if name == HEAD else np.linspace(shown.min(), shown.max(), 51)
    for kind, color, label in (
        (pairs.same, SAME_PERSON_COLOR, "same person"),
        (~pairs.same, DIFFERENT_PEOPLE_COLOR, "different people"),
    ):
        weights = pairs.weights[kind] / pairs.weights[kind].sum()
        axes.hist(shown[kind], bins, weights=weights, label=label, color=color, alpha=0.4)
        axes.hist(shown[kind], bins, weights=weights, color=color, histtype="step", linewidth=1.5)
    if threshold is not None:
        axes.axvline(sign * threshold, color="black", linestyle="--", label=f"threshold {sign * threshold:.3f}")
    if name == HEAD:  # nearly all are close to 0 or 1
        axes.set_yscale("log")
    axes.set(xlabel=unit, ylabel="share of the pairs of a kind", title=f"{name}: {unit}")
    axes.grid(alpha=0.3)
    axes.legend()


def _reliability(axes, predicted: np.ndarray, true: np.ndarray, mass: np.ndarray) -> None:
    edges = np.linspace(0, 1, len(mass) + 1)
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle="--", label="perfectly calibrated")
    axes.plot(predicted, true, "o-", color=BLUE, markersize=4, label="the head")
    axes.bar(edges[:-1], mass, np.diff(edges), align="edge", color=SKY_BLUE, alpha=0.4, label="share of all pairs")
    error = float(np.nansum(np.abs(predicted - true) * mass))
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability", ylabel="share of pairs of the same person")
    axes.set_title(f"calibration (expected error {error:.4f})")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")


def plot_identification(results: dict[int, dict[str, Identification]], trials: dict[str, Trials], path: Path) -> None:
    """DIR at FAR 1 % as the gallery grows, and DIR by FAR in the largest gallery, whose trials are given."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, trial), color in zip(trials.items(), CURVE_COLORS, strict=True):
        style = {"color": color, "linestyle": "--" if name == NEAREST else "-", "linewidth": 3 if name == OWN else 1.5}
        rates = [rules[name].dir[FARS[0]].value for rules in results.values()]
        left.plot(list(results), [np.nan if rate is None else rate for rate in rates], marker="o", label=name, **style)
        right.plot(*dir_curve(trial), **style)
    left.set(xscale="log", xlabel="people in the gallery", ylabel=f"DIR at FAR {FARS[0]:.0%}", ylim=(0, 1))
    left.set_title("as the gallery grows")
    left.set_xticks(list(results), [f"{size:,}" for size in results])
    left.minorticks_off()
    strangers = len(trials[NEAREST].stranger_tops)
    right.set(xscale="log", xlim=(min(1 / strangers, 0.5), 1), ylim=(0, 1), xlabel="false accept rate of strangers")
    right.set(
        ylabel="detection and identification rate", title=f"a gallery of {max(results):,}, {strangers:,} strangers"
    )
    for axes in (left, right):
        _percent_axis(axes.yaxis)
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    save_figure(figure, path)


def dir_curve(trial: Trials) -> tuple[np.ndarray, np.ndarray]:
    """FAR and DIR, float64 (k,) each, where every stranger's score in turn is just accepted."""
    falling = np.sort(trial.stranger_tops.ravel())[::-1]
    right = np.sort(trial.tops[trial.right])
    named = len(right) - np.searchsorted(right, falling, side="left")
    return np.arange(1, len(falling) + 1) / len(falling), named / len(trial.right)


def worst_pairs(scores: np.ndarray, pairs: Pairs, most: int = WORST) -> tuple[np.ndarray, np.ndarray]:
    """The different pairs of the highest and the same pairs of the lowest scores, indices, one for the same people."""
    worst = []
    for kind, sign in ((~pairs.same, -1), (pairs.same, 1)):
        candidates = np.flatnonzero(kind)
        candidates = candidates[np.argsort(sign * scores[candidates], kind="stable")]
        who = np.sort(pairs.people[candidates], axis=1)
        _, first = np.unique(who, axis=0, return_index=True)
        worst.append(candidates[np.sort(first)[:most]])
    return worst[0], worst[1]


def draw_worst_pairs(features: FeatureSet, pairs: Pairs, judged: PairScores, faces_path: Path, path: Path) -> None:
    """Show the pairs that the head errs on, or comes closest to it. faces_path: the faces that the features are of.

    A photo that is not there, or cannot be read, is shown as a gray field.
    """
    from matplotlib.figure import Figure

    scores = judged.scores[HEAD]
    titles = ("Different people of the highest probabilities", "The same person at the lowest probabilities")
    worst = dict(zip(titles, worst_pairs(scores, pairs), strict=True))
    rows = [max(1, -(-len(chosen) // COLUMNS)) for chosen in worst.values()]
    figure = Figure(figsize=(15, 2.15 * sum(rows) + 0.4 * len(rows)), layout="constrained")
    blocks = figure.subfigures(len(rows), 1, height_ratios=rows)
    for block, (title, chosen), height in zip(blocks, worst.items(), rows, strict=True):
        block.suptitle(title, fontsize=14, fontweight="bold")
        cells = block.subplots(height, COLUMNS, squeeze=False).ravel()
        for cell in cells:
            cell.set_axis_off()
        for cell, index in zip(cells, chosen, strict=False):
            accepted = "accepted" if scores[index] > judged.own_thresholds[index] else "not accepted"
            cell.set_title(f"{scores[index]:.4f}, {accepted}", fontsize=10)
            _draw_pair(cell, features, pairs.rows[index], faces_path)
    save_figure(figure, path)


def _draw_pair(cell, features: FeatureSet, rows: np.ndarray, faces_path: Path) -> None:
    people = [features.names[label] for label in features.labels[rows]]
    images = [features.images[row] for row in rows]
    both = zip(people, images, strict=True)
    cell.imshow(np.hstack([_photo(faces_path / person / image if image else None) for person, image in both]))
    for side, (person, image) in enumerate(zip(people, images, strict=True)):
        which = Path(image).stem.removeprefix(person).lstrip("_")
        cell.text(PHOTO * (side + 0.5), PHOTO + 8, f"{person}\n{which}", ha="center", va="top", fontsize=8)


def _photo(path: Path | None) -> np.ndarray:
    gray = np.full((PHOTO, PHOTO, 3), 200, np.uint8)
    if path is None:
        return gray
    try:
        return resize_chip(read_image(path), PHOTO)
    except (InputError, OSError):
        return gray
