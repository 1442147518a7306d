"""Figures as files."""

from xml.etree import ElementTree

from matplotlib.figure import Figure

from utils.figures import save_figure, write_figure


def test_a_plot_is_written_as_png_and_as_the_same_svg_again(tmp_path):
    figure = Figure()
    figure.subplots().plot([1, 2], [3, 4], label="a")
    for folder in ("first", "second"):
        save_figure(figure, tmp_path / folder / "plot.png")
    assert (tmp_path / "first" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "first" / "plot.svg").read_bytes() == (tmp_path / "second" / "plot.svg").read_bytes()


def test_a_picture_is_written_as_named(tmp_path):
    write_figure(Figure(), tmp_path / "answer.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["answer.jpg"]


def test_names_are_neither_formulas_nor_commands(tmp_path):
    figure = Figure()
    axes = figure.subplots()
    axes.set(title="$\\frac{1}{$ caf\udce9\nb \x1b[31m", xscale="log", xlim=(0.001, 1))  # log ticks are formulas
    save_figure(figure, tmp_path / "plot.png")
    ElementTree.parse(tmp_path / "plot.svg")  # an SVG with control characters would not be XML
    assert axes.get_title() == "$\\frac{1}{$ caf\\udce9\nb \\x1b[31m"
    assert "mathdefault{10^{-2}}" in (tmp_path / "plot.svg").read_text(encoding="utf-8")
