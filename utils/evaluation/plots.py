"""The plots of an evaluation: curves, histograms, identification, and the worst pairs as photos."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from utils.cli import InputError
from utils.evaluation.identification import LIVE_RULE, NEAREST, Identification, Trials
from utils.evaluation.pairs import Pairs
from utils.evaluation.protocols import EUCLIDEAN, HEAD, PairScores
from utils.evaluation.verification import REPORTED_FARS
from utils.faces.alignment import crop_square
from utils.features.feature_files import FeatureSet
from utils.figures import BLUE, CURVE_COLORS, DIFFERENT_PEOPLE_COLOR, GRAY, SAME_PERSON_COLOR, SKY_BLUE, save_figure
from utils.files import subfolder
from utils.media.images import read_image, resize_chip
from utils.metrics import Roc, calibration_bins, roc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

DET_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
MAX_WORST_PAIRS = 10  # of each kind
COLUMNS = 5  # of worst pairs
PHOTO_SIZE = 224  # pixels, of a photo in a worst pair


def plot_verification(
    pair_scores: PairScores, pairs: Pairs, operating_point: tuple[float, float], folder: Path
) -> None:
    """Plot curves and scores as roc.png and scores.png. operating_point: FAR and TAR at the head's own threshold."""
    curves = {name: roc(scores, pairs.same, pairs.weights) for name, scores in pair_scores.scores.items()}
    plot_curves(curves, operating_point, folder / "roc.png")
    plot_scores(pair_scores, pairs, folder / "scores.png")


def plot_curves(curves: dict[str, Roc], operating_point: tuple[float, float], path: Path) -> None:
    """Draw ROC and DET curves of the scorers. operating_point: FAR and TAR at the head's own threshold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, curve), color in zip(curves.items(), CURVE_COLORS, strict=False):
        label = f"{name} (AUC {curve.auc:.4f}, EER {curve.eer:.2%})"
        left.plot(curve.far, curve.tar, color=color, label=label, drawstyle="steps-post")
        right.plot(_deviates(curve.far), _deviates(1 - curve.tar), color=color, label=name)
    far, tar = operating_point
    marker = {"marker": "o", "markersize": 8, "markerfacecolor": "white", "color": BLUE, "linestyle": "none"}
    left.plot(max(far, _min_far(curves)), tar, label="the head's own threshold", **marker)
    right.plot(_deviates(far), _deviates(1 - tar), **marker)
    left.set(xscale="log", xlim=(_min_far(curves), 1), ylim=_tar_limits(curves))
    left.set(xlabel="false accept rate", ylabel="true accept rate", title="ROC")
    _percent_axis(left.yaxis)
    left.legend(loc="lower right")
    _deviate_axes(right, curves)
    right.set(xlabel="false accept rate", ylabel="false reject rate", title="DET (both errors on normal deviates)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def _min_far(curves: dict[str, Roc]) -> float:
    return max(1e-5, min(float(curve.far[curve.far > 0].min()) for curve in curves.values()))


def _min_frr(curve: Roc) -> float:
    rejected = (1 - curve.tar)[curve.tar < 1 - 1e-9]
    return max(1e-4, float(rejected.min())) if len(rejected) else 1e-4


def _tar_limits(curves: dict[str, Roc]) -> tuple[float, float]:
    lowest = min(curve.tar_at(_min_far(curves)) for curve in curves.values())
    return max(0.0, lowest - 0.05), 1.005


def _percent_axis(axis: "Axis") -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _deviates(rates: ArrayLike) -> np.ndarray:
    """Error rates as normal deviates: the curve of two normal distributions becomes a straight line.

    Martin et al., "The DET Curve in Assessment of Detection Task Performance" (1997).
    """
    from scipy.special import ndtri  # scipy comes with scikit-learn

    return ndtri(np.clip(rates, 1e-7, 1 - 1e-7))


def _deviate_axes(axes: "Axes", curves: dict[str, Roc]) -> None:
    low = {"x": _min_far(curves), "y": min(_min_frr(curve) for curve in curves.values())}
    high = {"x": 0.6, "y": min(0.95, max(1 - curve.tar_at(low["x"]) for curve in curves.values()) * 1.2 + 0.02)}
    for name in "xy":
        ticks = [tick for tick in DET_TICKS if low[name] <= tick <= high[name]]
        axes.set(
            **{
                f"{name}lim": _deviates([low[name] * 0.8, high[name]]),
                f"{name}ticks": _deviates(ticks),
                f"{name}ticklabels": [f"{100 * tick:g}%" for tick in ticks],
            }
        )


def plot_scores(pair_scores: PairScores, pairs: Pairs, path: Path) -> None:
    """Draw histograms of the scores of each scorer, and how well the head's probabilities are calibrated."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    *cells, last = figure.subplots(2, 2).ravel()
    for axes, (name, scores) in zip(cells, pair_scores.scores.items(), strict=True):
        thresholds = list(pair_scores.fold_thresholds[name].values())
        if name == HEAD:
            thresholds = pair_scores.head_thresholds
        _plot_histogram(axes, name, scores, pairs, float(np.median(thresholds)) if len(thresholds) else None)
    _plot_calibration(last, *calibration_bins(pair_scores.scores[HEAD], pairs.same, pairs.weights))
    save_figure(figure, path)


def _plot_histogram(axes: "Axes", name: str, scores: np.ndarray, pairs: Pairs, threshold: float | None) -> None:
    unit = {HEAD: "probability", EUCLIDEAN: "distance"}.get(name, "similarity")
    sign = -1 if name == EUCLIDEAN else 1
    values = sign * scores
    low, high = (0.0, 1.0) if name == HEAD else (float(values.min()), float(values.max()))
    bins = np.linspace(low, high, 51).tolist()
    for kind, color in ((pairs.same, SAME_PERSON_COLOR), (~pairs.same, DIFFERENT_PEOPLE_COLOR)):
        label = "same person" if color == SAME_PERSON_COLOR else "different people"
        weights = pairs.weights[kind] / pairs.weights[kind].sum()
        axes.hist(values[kind], bins, weights=weights, label=label, color=color, alpha=0.4)
        axes.hist(values[kind], bins, weights=weights, color=color, histtype="step", linewidth=1.5)
    if threshold is not None:
        axes.axvline(sign * threshold, color="black", linestyle="--", label=f"threshold {sign * threshold:.3f}")
    if name == HEAD:  # nearly all are close to 0 or 1
        axes.set_yscale("log")
    axes.set(xlabel=unit, ylabel="share of pairs of this kind", title=f"{name}: {unit}")
    axes.grid(alpha=0.3)
    axes.legend()


def _plot_calibration(axes: "Axes", predicted: np.ndarray, true: np.ndarray, mass: np.ndarray) -> None:
    edges = np.linspace(0, 1, len(mass) + 1)
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle="--", label="perfectly calibrated")
    axes.plot(predicted, true, "o-", color=BLUE, markersize=4, label="the head")
    axes.bar(edges[:-1], mass, np.diff(edges), align="edge", color=SKY_BLUE, alpha=0.4, label="share of all pairs")
    error = float(np.nansum(np.abs(predicted - true) * mass))
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability", ylabel="share of pairs of the same person")
    axes.set_title(f"calibration (expected error {error:.4f})")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")


def plot_identification(results: dict[int, dict[str, Identification]], trials: dict[str, Trials], path: Path) -> None:
    """Draw DIR at the highest reported FAR by size of gallery, and DIR by FAR in the largest gallery.

    results: size of the gallery → rule → figures. trials: of the largest gallery, by rule.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    far = REPORTED_FARS[0]
    for (name, trial), color in zip(trials.items(), CURVE_COLORS, strict=True):
        width = 3 if name == LIVE_RULE else 1.5
        style = {"color": color, "linestyle": "--" if name == NEAREST else "-", "linewidth": width}
        rates = [rules[name].dir[far].value for rules in results.values()]
        left.plot(list(results), [np.nan if rate is None else rate for rate in rates], marker="o", label=name, **style)
        right.plot(*dir_curve(trial), **style)
    left.set(xscale="log", xlabel="people in the gallery", ylabel=f"DIR at FAR {far:.0%}", ylim=(0, 1))
    left.set_title("as the gallery grows")
    left.set_xticks(list(results), [f"{size:,}" for size in results])
    left.minorticks_off()
    strangers = len(trials[NEAREST].stranger_scores)
    right.set(xscale="log", xlim=(min(1 / strangers, 0.5), 1), ylim=(0, 1), xlabel="false accept rate of strangers")
    right.set(ylabel="detection and identification rate")
    right.set_title(f"a gallery of {max(results):,}, {strangers:,} strangers")
    for axes in (left, right):
        _percent_axis(axes.yaxis)
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    save_figure(figure, path)


def dir_curve(trials: Trials) -> tuple[np.ndarray, np.ndarray]:
    """FAR and DIR, float64 (k,) each: a point for each stranger's score, with the threshold just below it."""
    falling = np.sort(trials.stranger_scores.ravel())[::-1]
    right = np.sort(trials.best_scores[trials.is_right])
    named = len(right) - np.searchsorted(right, falling, side="left")
    return np.arange(1, len(falling) + 1) / len(falling), named / len(trials.is_right)


def worst_pairs(scores: np.ndarray, pairs: Pairs, most: int = MAX_WORST_PAIRS) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the different pairs with the highest, and of the same pairs with the lowest scores.

    Only the worst pair of the same people is in, and at most `most` of each kind.
    """
    worst = []
    for kind, sign in ((~pairs.same, -1), (pairs.same, 1)):
        candidates = np.flatnonzero(kind)
        candidates = candidates[np.argsort(sign * scores[candidates], kind="stable")]
        people = np.sort(pairs.people[candidates], axis=1)
        _, first = np.unique(people, axis=0, return_index=True)
        worst.append(candidates[np.sort(first)[:most]])
    return worst[0], worst[1]


def draw_worst_pairs(features: FeatureSet, pairs: Pairs, pair_scores: PairScores, faces_path: Path, path: Path) -> None:
    """Draw the photos of the pairs that the head gets wrong, or almost. Unreadable photos become gray squares.

    faces_path: the folder of the faces from which the features were extracted.
    """
    from matplotlib.figure import Figure

    scores = pair_scores.scores[HEAD]
    titles = ("Different people with the highest probabilities", "The same person with the lowest probabilities")
    worst = dict(zip(titles, worst_pairs(scores, pairs), strict=True))
    heights = [max(1, -(-len(chosen) // COLUMNS)) for chosen in worst.values()]
    figure = Figure(figsize=(15, 2.15 * sum(heights) + 0.4 * len(heights)), layout="constrained")
    blocks = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights).ravel()
    for block, (title, chosen), height in zip(blocks, worst.items(), heights, strict=True):
        block.suptitle(title, fontsize=14, fontweight="bold")
        cells = block.subplots(height, COLUMNS, squeeze=False).ravel()
        for cell in cells:
            cell.set_axis_off()
        for cell, index in zip(cells, chosen, strict=False):
            accepted = "accepted" if scores[index] > pair_scores.head_thresholds[index] else "not accepted"
            cell.set_title(f"{scores[index]:.4f}, {accepted}", fontsize=10)
            _draw_pair(cell, features, pairs.rows[index], faces_path)
    save_figure(figure, path, private=True)


def _draw_pair(cell: "Axes", features: FeatureSet, pair: np.ndarray, faces_path: Path) -> None:
    people = [features.names[label] for label in features.labels[pair]]
    images = [features.images[row] for row in pair]
    sides = list(zip(people, images, strict=True))
    cell.imshow(
        np.hstack([_read_photo(subfolder(faces_path, person) / image if image else None) for person, image in sides])
    )
    for side, (person, image) in enumerate(sides):
        photo_name = Path(image).stem.removeprefix(person).lstrip("_")
        x, y = PHOTO_SIZE * (side + 0.5), PHOTO_SIZE + 8
        cell.text(x, y, f"{person}\n{photo_name}", ha="center", va="top", fontsize=8)


def _read_photo(path: Path | None) -> np.ndarray:
    gray = np.full((PHOTO_SIZE, PHOTO_SIZE, 3), 200, np.uint8)
    if path is None:
        return gray
    try:
        return resize_chip(crop_square(read_image(path)), PHOTO_SIZE)
    except (InputError, OSError):
        return gray
