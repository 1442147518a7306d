"""An evaluation in words and files: tables for the terminal, JSON, and a CSV of the people."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, is_dataclass
from pathlib import Path

from utils.cli import counted
from utils.evaluation.identification import NEAREST, OWN, Identification, OpenSet
from utils.evaluation.protocols import EUCLIDEAN, HEAD
from utils.evaluation.verification import CURVE_FIGURES, FARS, Estimate, OperatingPoint, ScorerFigures, Verification
from utils.files import atomic_path

PEOPLE_SHOWN = 10


def as_text(found: Verification | OpenSet) -> str:
    """What was found, for the terminal."""
    return verification_text(found) if isinstance(found, Verification) else open_set_text(found)


def verification_text(found: Verification) -> str:
    """The scorers, the head's own threshold and the people of most errors."""
    return "\n".join(
        [
            f"{counted(found.people, 'person', 'people')}{found.who}, "
            f"{found.same_pairs:,} same and {found.different_pairs:,} different pairs",
            verification_table(found.scorers),
            gain_line(HEAD, found.scorers[HEAD]),
            operating_line(found.own_threshold),
            people_lines(found.table, PEOPLE_SHOWN),
        ]
    )


def open_set_text(found: OpenSet) -> str:
    """The rules, a table for each size of gallery."""
    lines = [
        f"{counted(found.people, 'person', 'people')}{found.who} enrolled with {counted(found.photos, 'photo')}; "
        f"one more photo of each comes by, and of {counted(found.strangers, 'stranger')}"
    ]
    for size, rules in found.galleries.items():
        galleries = counted(found.people // size, "gallery", "galleries")
        lines += [
            f"\n{galleries} of {size:,}; named is whoever scores above {found.thresholds[size]:.4f}",
            identification_table(rules),
            dir_gain_line(OWN, rules[OWN]),
        ]
    return "\n".join(lines)


def verification_table(scorers: dict[str, ScorerFigures]) -> str:
    """The scorers side by side, each figure with its interval."""
    header = ["", "accuracy", "AUC", "EER", *(f"TAR at FAR {far:g}" for far in FARS)]
    rows = [header]
    for name, scorer in scorers.items():
        accuracy = "–" if scorer.accuracy is None else f"{scorer.accuracy:.4f} ± {scorer.standard_error:.4f}"
        rows.append([name, accuracy, *(with_interval(scorer.figures[key]) for key in CURVE_FIGURES)])
    return format_table(rows)


def gain_line(name: str, scorer: ScorerFigures) -> str:
    """By how much a scorer differs from Euclidean distance, on the same pairs and resampled people."""
    labels = dict(zip(CURVE_FIGURES, ("AUC", "EER", *(f"TAR at FAR {far:g}" for far in FARS)), strict=True))
    parts = [
        f"{label} {with_interval(scorer.gains[key], sign='+')}"
        for key, label in labels.items()
        if scorer.gains[key].value is not None
    ]
    return f"{name} − {EUCLIDEAN}: {', '.join(parts)}"


def operating_line(point: OperatingPoint) -> str:
    """What the head's own threshold does, and its calibration."""
    return (
        f"at the head's own threshold ({point.threshold:.4f}): FAR {with_interval(point.far, 5)}, "
        f"TAR {with_interval(point.tar)}; expected calibration error {point.calibration_error:.4f}"
    )


def people_lines(table: list[dict], most: int) -> str:
    """The people with the most errors at the head's own threshold, a line each."""
    wrong = [row for row in table if row["false_rejects"] or row["false_accepts"]]
    if not wrong:
        return "no errors there"
    rows = [["most errors there", "not recognized", "taken for others", "most alike"]]
    for row in wrong[:most]:
        rejects, accepts = (
            f"{row[error]} of {row[pairs]}"
            for error, pairs in (("false_rejects", "same_pairs"), ("false_accepts", "different_pairs"))
        )
        alike = f"{row['most_alike']} ({row['its_score']:.2f})" if row["most_alike"] else "–"
        rows.append([row["person"], rejects, accepts, alike])
    return format_table(rows)


def identification_table(results: dict[str, Identification]) -> str:
    """The rules side by side for one size of gallery."""
    rows = [["", "rank 1", *(f"DIR at FAR {far:g}" for far in FARS), "strangers named", "known: right", "wrong name"]]
    for name, result in results.items():
        named = ["–"] * 3
        if result.named:
            named = [with_interval(result.named["strangers"], 4)]
            named += [f"{result.named[key].value:.3f}" for key in ("right", "wrong")]
        rows.append([name, f"{result.rank1.value:.3f}", *(with_interval(result.dir[far], 3) for far in FARS), *named])
    return format_table(rows)


def dir_gain_line(name: str, result: Identification) -> str:
    """By how much a rule's DIR is above that of the nearest Euclidean distance."""
    parts = [
        f"DIR at FAR {far:g} {with_interval(gain, 3, '+')}"
        for far, gain in result.gain.items()
        if gain.value is not None
    ]
    return f"{name} − {NEAREST}: {', '.join(parts) or 'too few strangers for a DIR'}"


def with_interval(figure: Estimate, digits: int = 4, sign: str = "-") -> str:
    """ "0.9712 [0.9650, 0.9770]"; a dash where the data cannot show the figure."""
    if figure.value is None:
        return "–"
    value, low, high = (None if part is None else f"{part:{sign}.{digits}f}" for part in astuple(figure))
    return value if figure.low is None or math.isnan(figure.low) else f"{value} [{low}, {high}]"


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words in aligned columns, the first one to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = [word.ljust(width) for word, width in zip(row, widths, strict=True)]
        lines.append("  ".join(["  " + first, *rest]).rstrip())
    return "\n".join(lines)


def plain(value):
    """Dataclasses as dicts and keys as text, all the way down, and NaN as None: what JSON knows."""
    if is_dataclass(value):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if value != value else value


def write_people(path: Path, table: list[dict]) -> None:
    """Write the table of people as CSV, atomically."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)
