"""The plot of other people: the false accept rate of every group at thresholds from elsewhere."""

from pathlib import Path

from utils.evaluation.others import OtherPeople
from utils.evaluation.verification import Estimate
from utils.figures import BLACK, CURVE_COLORS, GRAY, save_figure


def plot_others(result: OtherPeople, path: Path) -> None:
    """Draw the FAR of each group and scorer with its interval, at the lowest FAR that the people here can show.

    Without one, draw the head at its own threshold. Rates of 0 stand at the left edge.
    """
    from matplotlib.figure import Figure

    groups = [result.here, *result.groups]
    promised = min((far for by_far in result.thresholds.values() for far in by_far), default=None)
    if promised is None:
        rates = {"head, own threshold": [group.own_threshold.far for group in groups]}
    else:
        rates = {name: [group.scorers[name].at_far[promised].far for group in groups] for name in groups[0].scorers}
    lowest = lowest_rate(rates)
    figure = Figure(figsize=(9, 1.6 + 0.36 * len(groups)), layout="constrained")
    axes = figure.subplots()
    for index, ((name, estimates), color) in enumerate(zip(rates.items(), CURVE_COLORS, strict=False)):
        shift = 0.2 * (index - (len(rates) - 1) / 2)
        for row, estimate in enumerate(estimates):
            if estimate.value is not None:
                low, value, high = (max(part, lowest) for part in with_ends(estimate))
                axes.plot([low, high], [row + shift] * 2, color=color, linewidth=1.5)
                marker = "<" if estimate.value == 0 else "o"
                axes.plot(value, row + shift, marker, color=color, markersize=5, label=name if not row else None)
    if promised is not None:
        axes.axvline(promised, color=BLACK, linestyle="--", linewidth=1, label="promised")
    axes.axhline(0.5, color=GRAY, linewidth=0.8)
    axes.set(xscale="log", xlim=(lowest * 0.8, 1.1), ylim=(len(groups) - 0.5, -0.5))
    axes.set(xlabel="false accept rate", title="Other people at thresholds chosen here")
    axes.set_yticks(range(len(groups)), [group.name for group in groups])
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    save_figure(figure, path)


def lowest_rate(rates: dict[str, list[Estimate]]) -> float:
    """The left edge of the plot: half of the lowest rate above 0, or 0.0001."""
    values = [part.value for estimates in rates.values() for part in estimates if part.value]
    return min([1e-4, *(value / 2 for value in values)])


def with_ends(estimate: Estimate) -> tuple[float, float, float]:
    """The ends of an interval with the value between them; the value itself where there is no interval."""
    low, high = (estimate.value if end is None or end != end else end for end in (estimate.low, estimate.high))
    return low, estimate.value, high
