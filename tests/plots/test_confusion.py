"""The plot of a confusion matrix: colours, counts, shares and names."""

import numpy as np
import pytest

from kenyan13.plots.predictions import confusion_plot
from kenyan13.plots.style import render

COUNTS = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])


def test_colours_are_shares_of_the_row_and_zeros_are_empty() -> None:
    (image,) = confusion_plot(COUNTS, ["a", "b", "c"]).axes[0].images
    shown = np.ma.masked_invalid(np.asarray(image.get_array())).filled(np.nan)
    assert shown[0, :2] == pytest.approx([0.8, 0.2])
    assert shown[1, 1] == 1
    assert np.isnan(shown).sum() == 6  # also the whole row without images
    assert image.get_clim() == (0, 1)


def test_counts_and_shares_stand_in_their_cells() -> None:
    texts = confusion_plot(COUNTS, ["a", "b", "c"]).axes[0].texts
    assert {text.get_position(): text.get_text() for text in texts} == {  # x: predictions, y: targets
        (0, 0): "8\n80 %", (1, 0): "2\n20 %", (1, 1): "5\n100 %",
    }  # fmt: skip
    assert [text.get_color() for text in texts] == ["white", "black", "white"]  # white on dark cells


def test_rows_are_named_with_their_images_and_the_heading_says_the_accuracy() -> None:
    axes = confusion_plot(COUNTS, ["a", "$b$", "c\nd"], "run").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (10)", "$b$ (5)", "c d (0)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "$b$", "c d"]
    assert axes.get_title("left") == "15 images, accuracy 86.7 %"


def test_above_20_classes_there_are_counts_only_and_the_figure_grows() -> None:
    counts = np.random.default_rng(0).integers(0, 120, (43, 43))
    large = confusion_plot(counts, [f"class {k}" for k in range(43)])
    texts = [text.get_text() for text in large.axes[0].texts]
    assert texts == [str(count) for count in counts[counts > 0]]
    small = confusion_plot(counts[:13, :13], [f"class {k}" for k in range(13)])
    assert large.get_size_inches()[0] > small.get_size_inches()[0]


def test_a_matrix_without_images_and_one_of_very_many_classes() -> None:
    assert confusion_plot(np.zeros((2, 2), np.int64), ["a", "b"]).axes[0].get_title("left") == "0 images"
    many = confusion_plot(np.eye(1000, dtype=np.int64), ["x" * 100] * 1000)
    assert max(many.get_size_inches()) < 40
    assert len(many.axes[0].get_yticks()) == 334  # every third has room for its name


def test_names_from_anywhere_become_an_image() -> None:
    names = ["$\\frac{", "<script>", "麻婆豆腐", "\ud800\x00", "\N{BRAILLE PATTERN BLANK}", "W" * 200]
    figure = confusion_plot(np.eye(6, dtype=np.int64), names, "".join(names))
    assert render(figure)
    assert "<script>" not in render(figure, "svg").decode()
