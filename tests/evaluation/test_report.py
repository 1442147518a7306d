"""Reports: figures with intervals, aligned columns, and values that JSON can hold."""

import pytest

from utils.evaluation.report import format_table, to_json, with_interval
from utils.evaluation.verification import Estimate


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.5, 0.25, 0.75), "+0.50 [+0.25, +0.75]"),
        (Estimate(-0.5, float("nan"), float("nan")), "-0.50"),
        (Estimate(0.5), "+0.50"),
        (Estimate(None), "–"),
    ],
)
def test_a_figure_has_an_interval_where_there_is_one(estimate, text):
    assert with_interval(estimate, 2, "+") == text


def test_columns_are_aligned():
    assert format_table([["", "AUC"], ["head", "1"]]) == "        AUC\n  head  1"


def test_json_has_text_keys_and_no_nan():
    assert to_json({0.01: Estimate(1.0, float("nan"))}) == {"0.01": {"value": 1.0, "low": None, "high": None}}
