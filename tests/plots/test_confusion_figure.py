"""The figure of a confusion matrix: colours, counts, shares and names."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from kenyan13.plots.confusion import confusion_figure
from kenyan13.plots.lettering import Written, outline
from kenyan13.plots.rendering import png

COUNTS = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])


def written(figure: Figure, name: str) -> Written | None:
    parts = [part for part in figure.findobj(Written) if part.get_gid() == name]
    assert len(parts) < 2
    return parts[0] if parts and isinstance(parts[0], Written) else None


def test_colours_are_shares_of_the_row_and_zeros_are_empty() -> None:
    (image,) = confusion_figure(COUNTS, ["a", "b", "c"]).axes[0].images
    shown = np.ma.masked_invalid(np.asarray(image.get_array())).filled(np.nan)
    assert shown[0, :2] == pytest.approx([0.8, 0.2])
    assert shown[1, 1] == 1
    assert np.isnan(shown).sum() == 6  # also the whole row without images
    assert image.get_clim() == (0, 1)


def test_counts_and_shares_stand_in_their_cells() -> None:
    figure = confusion_figure(COUNTS, ["a", "b", "c"])
    counts, shares = written(figure, "counts"), written(figure, "shares")
    assert counts is not None
    assert shares is not None
    assert counts.texts == ["8", "2", "5"]
    assert np.asarray(counts.get_offsets()).tolist() == [[0, 0], [1, 0], [1, 1]]  # x: answers, y: targets
    assert shares.texts == ["80 %", "20 %", "100 %"]
    white = np.asarray(counts.get_facecolor())[:, :3].min(axis=1) == 1
    assert white.tolist() == [True, False, True]  # on dark cells
    assert np.array_equal(counts.get_paths()[0].vertices, outline("8", 9.0).vertices)


def test_rows_are_named_with_their_images_and_the_heading_says_the_accuracy() -> None:
    figure = confusion_figure(COUNTS, ["a", "$b$", "c\nd"], "run")
    rows, columns = written(figure, "rows"), written(figure, "columns")
    assert rows is not None
    assert columns is not None
    assert rows.texts == ["a (10)", "$b$ (5)", "c d (0)"]
    assert columns.texts == ["a", "$b$", "c d"]
    assert "15 images, accuracy 86.7 %" in figure.texts[1].get_text()
    assert {"Target (images)", "Answer"} <= {text.get_text() for text in figure.texts}


def test_above_20_classes_there_are_counts_only_and_the_figure_grows() -> None:
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 120, (43, 43))
    large = confusion_figure(counts, [f"class {k}" for k in range(43)])
    found = written(large, "counts")
    assert found is not None
    assert len(found.texts) == (counts > 0).sum()
    assert written(large, "shares") is None
    assert large.texts[0].get_text().endswith("%.")
    small = confusion_figure(counts[:13, :13], [f"class {k}" for k in range(13)])
    assert large.get_size_inches()[0] > small.get_size_inches()[0]
    widths = [path.get_extents().width for path in found.get_paths()]
    assert max(widths) < 0.22 * 72  # inside the cells


def test_a_matrix_without_images_and_one_of_very_many_classes() -> None:
    assert "0 images." in confusion_figure(np.zeros((2, 2), np.int64), ["a", "b"]).texts[0].get_text()
    many = confusion_figure(np.eye(1000, dtype=np.int64), ["x" * 100] * 1000)
    assert max(many.get_size_inches()) < 40
    rows = written(many, "rows")
    assert rows is not None
    assert len(rows.texts) == 334  # every third has room for its name


def test_names_from_anywhere_become_an_image() -> None:
    names = ["$\\frac{", "<script>", "麻婆豆腐", "\ud800\x00", "\N{BRAILLE PATTERN BLANK}", "W" * 200]
    assert png(confusion_figure(np.eye(6, dtype=np.int64), names, "".join(names)))
