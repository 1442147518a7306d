"""Other people: figures with known answers, thresholds from elsewhere, doubles, calibration, and what is printed."""

from pathlib import Path

import numpy as np
import pytest
from support import toy_features

from utils.cli import InputError
from utils.evaluation.others import Group, _short_names, load_groups, measure_others
from utils.evaluation.others_plot import plot_others
from utils.evaluation.report import others_text
from utils.features.feature_files import save_person


class LineHead:
    """A head that compares the first number of two features: probability 1 − their distance, at least 0."""

    threshold = 0.5

    def score_rows(self, matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.maximum(0, 1 - np.abs(matrix[rows[:, 0], 0] - matrix[rows[:, 1], 0])).astype(np.float32)


def line(*positions: float) -> np.ndarray:
    """Features that lie on a line."""
    return np.array([[position, 1.0] for position in positions], np.float32)


def crowd(photos: int, name: str = "crowd", spacing: float = 0.3, **fields) -> Group:
    """As many people as photos, on a line."""
    return Group(name, line(*spacing * np.arange(photos)), np.arange(photos, dtype=np.int32), **fields)


@pytest.fixture
def here() -> Group:
    """200 people with two photos each: neighbors are 1 apart, the photos of a person 0.1."""
    return Group("here", line(*(p + d for p in range(200) for d in (0, 0.1))), np.arange(200).repeat(2))


def test_kinds_have_the_rates_of_all_their_pairs(here):
    # Of the six pairs of 0, 0.3, 0.6 and 5, two are at a distance of 0.3 and one is at 0.6.
    kind = Group("kind", line(0, 0.3, 0.6, 5), np.arange(4))
    result = measure_others(LineHead(), here, [kind], None, 0, 0)
    figures = result.groups[0]
    assert (figures.people, figures.same_pairs, figures.different_pairs) == (4, 0, 6)
    assert figures.own_threshold.far.value == pytest.approx(2 / 6) and figures.own_threshold.tar.value is None
    assert figures.scorers["head"].auc is None
    # Here 1 % of the 19,900 pairs of people are neighbors. The nearest photos of all others are 1.9 apart.
    assert list(result.thresholds) == ["head", "Euclidean", "cosine"]
    assert result.thresholds["Euclidean"][0.01] == pytest.approx(-1.9, abs=1e-3)
    assert figures.scorers["Euclidean"].at_far[0.01].far.value == pytest.approx(3 / 6)
    assert result.here.own_threshold.far.value == 0 and result.here.own_threshold.tar.value == 1
    assert result.here.scorers["Euclidean"].at_far[0.01].far.value <= 0.01


def test_every_person_counts_the_same_among_others(here):
    # Ada's three photos are alike, Ben's two are not. Cem's only photo is like one of Ada's three.
    people = Group("people", line(0, 0.1, 0.2, 3, 4, 0.65), np.array([0, 0, 0, 1, 1, 2]))
    figures = measure_others(LineHead(), here, [people], None, 50, 0).groups[0]
    assert figures.own_threshold.tar.value == pytest.approx(1 / 2)
    assert figures.own_threshold.far.value == pytest.approx(1 / 3 / 3)  # of three pairs of people
    assert figures.scorers["Euclidean"].at_far[0.01].far.value == pytest.approx(1 / 3)
    rate = figures.own_threshold.tar
    assert rate.low <= rate.value <= rate.high and rate.low < rate.high


def test_strangers_among_others_make_no_pairs(here):
    group = Group("people", line(0, 0.1, 0.2, 0.3, 9), np.array([0, 1, 2, 3, 4]), strangers_from=2)
    figures = measure_others(LineHead(), here, [group], None, 0, 0).groups[0]
    assert figures.different_pairs == 7  # of ten; three are of two strangers
    assert figures.own_threshold.far.value == pytest.approx(5 / 7)


def test_doubles_are_left_out_of_strangers_and_counted(here):
    kind = Group("kind", line(0.1, 0.1, 0.1, 8), np.arange(4), may_have_doubles=True)
    for limit, doubles, far in ((None, 0, 0.5), (0.999, 3, 0.0)):
        result = measure_others(LineHead(), here, [kind], limit, 5, 0)
        figures = result.groups[0]
        assert (figures.doubles, figures.different_pairs) == (doubles, 6 - doubles)
        assert figures.own_threshold.far.value == far
        assert ("3 pairs with a cosine of 0.999 or more" in others_text(result)) == bool(doubles)
    people = Group("people", kind.matrix, kind.labels)
    assert measure_others(LineHead(), here, [people], 0.999, 0, 0).groups[0].doubles == 0
    nothing = measure_others(LineHead(), here, [Group("kind", line(1, 1), np.arange(2), None, True)], 0.9, 5, 0)
    assert nothing.groups[0].own_threshold.far.value is None and "–" in others_text(nothing)


def test_calibration_covers_all_others_together(here):
    # Same pairs have a probability of 0.9, as two photos of Ada; different ones 0.5: the error is (0.1 + 0.5) / 2.
    people = Group("people", line(0, 0.1), np.array([0, 0]))
    kind = Group("kind", line(0, 0.5), np.array([0, 1]))
    alone = measure_others(LineHead(), here, [people], None, 0, 0)
    assert alone.calibration_others is None and alone.calibration_here == pytest.approx(0.05, abs=0.02)
    both = measure_others(LineHead(), here, [people, kind], None, 0, 0)
    assert both.calibration_others == pytest.approx(0.3, abs=1e-6)
    # Ten people of the other kind, all 3 apart and told apart, count five times as much as the first two.
    more = measure_others(LineHead(), here, [people, kind, crowd(10, spacing=3)], None, 0, 0)
    assert more.calibration_others == pytest.approx((0.1 + 0.5 * 2 / 12) / 2, abs=1e-6)


def test_a_group_does_not_depend_on_the_others(here):
    groups = [crowd(40, "a"), crowd(60, "b", 0.2)]
    both = measure_others(LineHead(), here, groups, None, 20, 7).groups
    assert both[1] == measure_others(LineHead(), here, groups[1:], None, 20, 7).groups[0]


def test_large_folders_are_sampled(here, monkeypatch):
    monkeypatch.setattr("utils.evaluation.others.MAX_DIFFERENT", 2_000)
    monkeypatch.setattr("utils.evaluation.others.MAX_PHOTOS", 3)
    labels = np.r_[np.zeros(500, int), np.arange(1, 200)]
    group = Group("people", line(*np.random.default_rng(0).uniform(0, 20, 699)), labels)
    figures = measure_others(LineHead(), here, [group], None, 0, 0).groups[0]
    assert (figures.different_pairs, figures.same_pairs, figures.people) == (2_000, 3, 200)
    assert figures.own_threshold.far.value == pytest.approx(0.05, abs=0.02)


def test_few_people_give_no_threshold(here, tmp_path):
    result = measure_others(LineHead(), crowd(6, "few"), [crowd(4, "kind")], None, 5, 0)
    assert result.thresholds["head"] == {} and result.groups[0].scorers["head"].at_far == {}
    assert "no threshold for FAR 0.001: it takes 1,000 pairs of people to choose it" in others_text(result)
    plot_others(result, tmp_path / "others.png")
    assert (tmp_path / "others.svg").read_text().startswith("<?xml")


def test_table_fits_the_terminal_and_the_plot_is_drawn(here, tmp_path):
    groups = [crowd(150, f"ages_features/age_{low:02}_{low + 5:02}", 0.01 * low) for low in range(2, 60, 10)]
    people = Group("a_film", line(*range(30)), np.arange(30) // 3)
    result = measure_others(LineHead(), here, [*groups, people], 0.9999, 100, 0)
    text = others_text(result)
    assert max(map(len, text.splitlines())) <= 120
    title, *rows = (row.split() for row in text.splitlines()[2:11])
    assert title[:3] == ["own", "threshold", "(0.5000)"]
    assert [row[0] for row in rows[:8]] == ["here", *(group.name for group in groups), "a_film"] and not rows[8:]
    assert "TAR (FAR 0.01 here)" in text and "FAR (FAR 0.01 here)" in text and "none" in text
    plot_others(result, tmp_path / "others.png")
    assert (tmp_path / "others.png").stat().st_size > 10_000


def test_folders_with_the_same_last_name_are_told_apart():
    paths = [Path("lfw/features"), Path("film/features"), Path("ages")]
    assert list(_short_names(paths).values()) == [str(Path("lfw/features")), str(Path("film/features")), "ages"]
    assert _short_names([Path("ages"), Path("ages")]) == {Path("ages"): "ages"}


def test_folders_are_loaded_as_people_or_as_kinds(tmp_path, capsys):
    here = toy_features(3, 2)
    for name, photos in (("p1", 3), ("young", 2), ("old", 1)):
        images = [[f"{number}.png", 1, 1] for number in range(photos)]
        save_person(tmp_path / "ages", name, np.ones((photos, 4), np.float32), images, "toy-4-abc", 0)
    (people,) = load_groups([tmp_path / "ages"], [], here)
    assert people.labels.tolist() == [0, 1, 1, 1, 2, 2] and not people.may_have_doubles  # old, p1, young
    assert "1 name is both in" in capsys.readouterr().err
    kinds = load_groups([], [tmp_path / "ages"], here)
    assert [kind.name for kind in kinds] == ["ages/p1", "ages/young"] and kinds[0].labels.tolist() == [0, 1, 2]
    assert "left out, with a single photo: old" in capsys.readouterr().err
    save_person(tmp_path / "one", "ada", np.ones((1, 4), np.float32), [["a.png", 1, 1]], "toy-4-abc", 0)
    for folders in (([tmp_path / "one"], []), ([], [tmp_path / "one"])):
        with pytest.raises(InputError, match="photo"):
            load_groups(*folders, here)
    with pytest.raises(InputError, match=r"toy-4-abc with 4 features, but those in .* an unknown extractor with 5"):
        load_groups([tmp_path / "ages"], [], toy_features(3, 2, dimension=5))
