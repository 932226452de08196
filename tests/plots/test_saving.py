"""Plots as files, and what all plots share: names and numbers."""

import io
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from kenyan13.plots.style import DPI, new_figure, render, save_plot, short, styled


@styled
def line(values: NDArray[np.float64], name: str = "") -> Figure:
    figure = new_figure(4, 3, name)
    figure.add_subplot().plot(values)
    return figure


def test_a_plot_is_written_as_svg_and_png_and_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        save_plot(tmp_path / folder / "losses.v1", line, np.array([1.0, 2.0]), name="<a> $b$")
    svg, png = ((tmp_path / f"one/losses.v1.{ending}").read_bytes() for ending in ("svg", "png"))
    assert svg == (tmp_path / "two/losses.v1.svg").read_bytes()
    assert png == (tmp_path / "two/losses.v1.png").read_bytes()
    assert b"&lt;a&gt; $b$" in svg  # as text, which can be searched
    assert Image.open(io.BytesIO(png)).size == (4 * DPI, 3 * DPI)


def test_a_plot_is_drawn_again_only_where_its_values_have_changed(tmp_path: Path) -> None:
    drawn = []

    def counted(values: NDArray[np.float64]) -> Figure:
        drawn.append(values)
        return line(values)

    save_plot(tmp_path / "a", counted, np.array([1.0, 2.0]))
    save_plot(tmp_path / "a", counted, np.array([1.0, 2.0]))
    assert len(drawn) == 1
    save_plot(tmp_path / "a", counted, np.array([1.0, 2.5]))
    assert len(drawn) == 2
    whole = (tmp_path / "a.svg").read_text()
    (tmp_path / "a.svg").write_text(whole[: len(whole) // 2])  # as an interruption leaves it
    save_plot(tmp_path / "a", counted, np.array([1.0, 2.5]))
    assert (tmp_path / "a.svg").read_text() == whole
    (tmp_path / "a.png").unlink()
    save_plot(tmp_path / "a", counted, np.array([1.0, 2.5]))
    assert len(drawn) == 4


def test_letters_that_the_fonts_lack_give_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert render(line(np.array([1.0]), "麻婆豆腐 \u202e $"))


def test_short_names_are_one_line_and_keep_their_ends() -> None:
    assert short("a\nb\t\x00c \ud800 $x$") == "a b c $x$"
    cut = short("a_very_long_name_of_a_class_1", 16)
    assert len(cut) <= 16
    assert cut.startswith("a_very")
    assert cut.endswith("_1")
