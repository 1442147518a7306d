"""The results of an evaluation as text for the terminal, as JSON, and as a CSV file of the people."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, fields, is_dataclass
from pathlib import Path
from typing import Any

from utils.cli import counted
from utils.evaluation.identification import LIVE_RULE, NEAREST, Identification, OpenSet
from utils.evaluation.others import GroupFigures, OtherPeople
from utils.evaluation.protocols import EUCLIDEAN, HEAD
from utils.evaluation.verification import (
    CURVE_FIGURES,
    REPORTED_FARS,
    Estimate,
    OperatingPoint,
    PersonErrors,
    ScorerFigures,
    Verification,
)
from utils.files import atomic_path

MAX_PEOPLE_SHOWN = 10
CURVE_LABELS = ("AUC", "EER", *(f"TAR at FAR {far:g}" for far in REPORTED_FARS))  # of CURVE_FIGURES


def as_text(result: Verification | OpenSet) -> str:
    """The results for the terminal."""
    return verification_text(result) if isinstance(result, Verification) else open_set_text(result)


def verification_text(result: Verification) -> str:
    """The scorers, the head at its own threshold, and the people with the most errors."""
    return "\n".join(
        [
            f"{counted(result.people, 'person', 'people')}{result.who}, "
            f"{result.same_pairs:,} same and {result.different_pairs:,} different pairs",
            *heads_line(result.heads),
            scorer_table(result.scorers),
            gain_line(HEAD, result.scorers[HEAD]),
            operating_line(result.own_threshold),
            people_table(result.table, MAX_PEOPLE_SHOWN),
        ]
    )


def open_set_text(result: OpenSet) -> str:
    """A table of the rules for each size of gallery."""
    lines = [
        f"{counted(result.people, 'person', 'people')}{result.who} enrolled with {counted(result.photos, 'photo')}; "
        f"probes: one more photo of each, and one of each of {counted(result.strangers, 'stranger')}",
        *heads_line(result.heads),
    ]
    for size, rules in result.galleries.items():
        galleries = counted(result.people // size, "gallery", "galleries")
        lines += [
            f"\n{galleries} of {size:,}; a name is given above {result.thresholds[size]:.4f}",
            identification_table(rules),
            dir_gain_line(LIVE_RULE, rules[LIVE_RULE]),
        ]
    return "\n".join(lines)


def heads_line(heads: dict[str, int]) -> list[str]:
    """Which kinds of heads were fitted, as one line; none if a head was given."""
    return [f"heads: {', '.join(f'{number} {kind}' for kind, number in heads.items())}"] if heads else []


def others_text(result: OtherPeople) -> str:
    """Tables of the other people, with the people on whom the thresholds were chosen in the first row."""
    groups = [result.here, *result.groups]
    fitted = f" by a {result.head} head fitted to all people" if result.head else ""
    lines = [f"\nother people, judged{fitted} at thresholds chosen here"]
    lines.append(own_threshold_table(result.own_threshold, groups))
    for far in REPORTED_FARS:
        if far in result.thresholds[HEAD]:
            lines += ["", rate_table("far", far, result.thresholds, groups)]
        else:
            lines.append(f"no threshold for FAR {far:g}: it takes {round(1 / far):,} pairs of people to choose it")
    with_same = [group for group in groups if group.same_pairs]
    if any(group.same_pairs for group in result.groups):
        for far in result.thresholds[HEAD]:
            lines += ["", rate_table("tar", far, result.thresholds, with_same)]
        lines += ["", auc_table(list(result.thresholds), with_same)]
    lines += ["", calibration_line(result)]
    if result.max_double is not None:
        doubles = counted(sum(group.doubles for group in result.groups), "pair")
        lines.append(f"left out as perhaps the same person: {doubles} with a cosine of {result.max_double:g} or more")
    return "\n".join(lines)


def own_threshold_table(threshold: float, groups: list[GroupFigures]) -> str:
    """What the head's own threshold does to each group, and how many people and pairs there are."""
    rows = [[f"own threshold ({threshold:.4f})", "people", "different pairs", "FAR", "same pairs", "TAR"]]
    for group in groups:
        far, tar = (rate_text(part) for part in (group.own_threshold.far, group.own_threshold.tar))
        rows.append([group.name, f"{group.people:,}", f"{group.different_pairs:,}", far, f"{group.same_pairs:,}", tar])
    return format_table(rows)


def rate_table(rate: str, far: float, thresholds: dict[str, dict[float, float]], groups: list[GroupFigures]) -> str:
    """One rate, "far" or "tar", of each scorer and group at the threshold for a FAR."""
    titles = []
    for name, by_far in thresholds.items():
        sign = -1 if name == EUCLIDEAN else 1
        titles.append(f"{name} ({sign * by_far[far]:.4f})")
    rows = [[f"{rate.upper()} (FAR {far:g} here)", *titles]]
    for group in groups:
        rates = (group.scorers[name].at_far[far] for name in thresholds)
        rows.append([group.name, *(rate_text(getattr(part, rate)) for part in rates)])
    return format_table(rows)


def auc_table(scorers: list[str], groups: list[GroupFigures]) -> str:
    """The AUC of each scorer and group that has pairs of both kinds."""
    rows = [["AUC", *scorers]]
    for group in groups:
        values = (group.scorers[name].auc for name in scorers)
        rows.append([group.name, *("–" if value is None else f"{value:.4f}" for value in values)])
    return format_table(rows)


def rate_text(estimate: Estimate) -> str:
    """ "0.0012 [0.0009, 0.0016]"; "none" for a rate of 0, whose resamplings would pretend to know it exactly."""
    return "none" if estimate.value == 0 else with_interval(estimate)


def calibration_line(result: OtherPeople) -> str:
    """The head's calibration error here and on all others."""
    here, others = (
        "–" if error is None else f"{error:.4f}" for error in (result.calibration_here, result.calibration_others)
    )
    return f"expected calibration error: {here} here, {others} on all others together"


def scorer_table(scorers: dict[str, ScorerFigures]) -> str:
    """The scorers side by side, with intervals."""
    rows = [["", "accuracy", *CURVE_LABELS]]
    for name, scorer in scorers.items():
        accuracy = "–" if scorer.accuracy is None else f"{scorer.accuracy:.4f} ± {scorer.standard_error:.4f}"
        rows.append([name, accuracy, *(with_interval(scorer.figures[key]) for key in CURVE_FIGURES)])
    return format_table(rows)


def gain_line(name: str, scorer: ScorerFigures) -> str:
    """How much a scorer differs from the Euclidean distance on the same pairs and resampled people."""
    parts = [
        f"{label} {with_interval(scorer.gains[key], sign='+')}"
        for key, label in zip(CURVE_FIGURES, CURVE_LABELS, strict=True)
        if scorer.gains[key].value is not None
    ]
    return f"{name} − {EUCLIDEAN}: {', '.join(parts)}"


def operating_line(point: OperatingPoint) -> str:
    """The rates at the head's own threshold, and its calibration."""
    return (
        f"at the head's own threshold ({point.threshold:.4f}): FAR {with_interval(point.far, 5)}, "
        f"TAR {with_interval(point.tar)}; expected calibration error {point.calibration_error:.4f}"
    )


def people_table(people: list[PersonErrors], most: int) -> str:
    """The people with the most errors at the head's own threshold, at most `most`."""
    wrong = [person for person in people if person.errors]
    if not wrong:
        return "no errors there"
    rows = [["most errors there", "not recognized", "mistaken for others", "most alike"]]
    for person in wrong[:most]:
        rejects = f"{person.false_rejects} of {person.same_pairs}"
        accepts = f"{person.false_accepts} of {person.different_pairs}"
        alike = f"{person.most_alike} ({person.its_score:.2f})" if person.most_alike else "–"
        rows.append([person.person, rejects, accepts, alike])
    return format_table(rows)


def identification_table(rules: dict[str, Identification]) -> str:
    """The rules side by side for one size of gallery."""
    dirs = [f"DIR at FAR {far:g}" for far in REPORTED_FARS]
    rows = [["", "rank 1", *dirs, "strangers named", "known: right", "wrong name"]]
    for name, rule in rules.items():
        named = ["–"] * 3
        if rule.named:
            named = [with_interval(rule.named["strangers"], 4)]
            named += [f"{rule.named[key].value:.3f}" for key in ("right", "wrong")]
        dirs = [with_interval(rule.dir[far], 3) for far in REPORTED_FARS]
        rows.append([name, f"{rule.rank1.value:.3f}", *dirs, *named])
    return format_table(rows)


def dir_gain_line(name: str, rule: Identification) -> str:
    """How much the DIR of a rule is above that of the nearest Euclidean distance."""
    parts = [
        f"DIR at FAR {far:g} {with_interval(gain, 3, '+')}" for far, gain in rule.gain.items() if gain.value is not None
    ]
    return f"{name} − {NEAREST}: {', '.join(parts) or 'too few strangers for a DIR'}"


def with_interval(estimate: Estimate, digits: int = 4, sign: str = "-") -> str:
    """ "0.9712 [0.9650, 0.9770]"; a dash where the data cannot show the figure."""
    if estimate.value is None:
        return "–"
    value, low, high = (None if part is None else f"{part:{sign}.{digits}f}" for part in astuple(estimate))
    return value if estimate.low is None or math.isnan(estimate.low) else f"{value} [{low}, {high}]"


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Cells in left-aligned columns, indented by two spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"  {line}".rstrip() for line in lines)


def to_json(value: Any) -> Any:
    """What JSON can hold: dataclasses as dicts, keys and paths as text and NaN as None, all the way down."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value))
    if isinstance(value, dict):
        return {str(key): to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    if hasattr(value, "suffix"):  # a path, or an address
        return str(value)
    return None if value != value else value


def write_people(path: Path, people: list[PersonErrors]) -> None:
    """Write the errors of the people as a CSV file, atomically."""
    with (
        atomic_path(path, private=True) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(PersonErrors))
        writer.writerows(map(astuple, people))
