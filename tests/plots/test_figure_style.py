"""Texts that fit, numbers of axes, and PNG files."""

import io
import multiprocessing
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from kenyan13.plots import style
from kenyan13.plots.lettering import outline
from kenyan13.plots.rendering import png
from kenyan13.plots.style import (
    compact,
    fitted,
    plain,
    scientific,
    sheet,
    shortened,
    styled,
    text_width,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-4, "10⁻⁴"), (3.16e-4, "3.16·10⁻⁴"), (5e-3, "5·10⁻³"), (1.0, "10⁰"), (2.5e12, "2.5·10¹²"), (1e10, "10¹⁰")],
)
def test_scientific(value: float, text: str) -> None:
    assert scientific(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (-0.5, "\N{MINUS SIGN}0.5"),
        (1200, "1200"),
        (160000, "1.6·10⁵"),
        (-2e-4, "\N{MINUS SIGN}2·10⁻⁴"),
    ],
)
def test_compact(value: float, text: str) -> None:
    assert compact(value) == text


def test_plain_text_is_one_line_of_printable_letters() -> None:
    assert plain("a\nb\t\x00c \ud800 $x$") == "a b c $x$"


def test_text_width_agrees_with_matplotlib() -> None:
    for text in ("githeri", "WWW $x^2$", "0.25"):
        drawn = outline(text, 10, "left").get_extents().x1 / 72
        assert drawn == pytest.approx(text_width(text, 10) / 1.03, abs=0.02)


def test_fitted_leaves_out_the_middle() -> None:
    assert fitted("short", 2, 10) == "short"
    cut = fitted("start " + "x" * 500 + " end", 1.5, 10)
    assert cut.startswith("start")
    assert cut.endswith("end")
    assert "…" in cut
    assert 1.3 < text_width(cut, 10) <= 1.5


def test_shortened_names_keep_their_order_and_their_ends() -> None:
    names = shortened(["ugali", "a_very_long_name_of_a_class_1", "a_very_long_name_of_a_class_2"], 16)
    assert names[0] == "ugali"
    assert names[1].endswith("_1")
    assert names[2].endswith("_2")


def test_a_sheet_shows_title_and_detail_that_fit_as_they_are() -> None:
    figure = styled(sheet)(6, 3, "$x$ <b>\n" + "long " * 100, "detail")
    title, detail = (text for text in figure.texts)
    assert title.get_text().startswith("$x$ <b> long")
    assert not title.get_parse_math()
    assert text_width(title.get_text(), float(title.get_fontsize())) <= 6
    assert detail.get_text() == "detail"
    assert detail.get_position()[1] < title.get_position()[1]


def test_png_of_letters_that_the_font_lacks_is_without_warnings() -> None:
    @styled
    def draw() -> Figure:
        return sheet(3, 2, "麻婆豆腐 \u202e $", "")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = Image.open(io.BytesIO(png(draw())))
    assert image.size[0] > 100
    assert image.size[1] < 60  # cut down to the line
    assert np.asarray(image.convert("L")).min() < 100


def widths(_: int) -> list[float]:
    """Return the widths of letters, looked up anew."""
    style._advance.cache_clear()
    return [text_width(chr(code), 10) for code in range(33, 1300)]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes cannot be forked here")
def test_forked_processes_do_not_share_an_open_font() -> None:
    """They would share the place in the file, and read each other's letters."""
    expected = widths(0)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert all(found == expected for found in pool.map(widths, range(24), chunksize=1))
