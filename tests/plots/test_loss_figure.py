"""The figure of losses: its lines, its marks, and values that are not numbers."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kenyan13.metrics.losses import exponential_moving_average, overfitting
from kenyan13.plots.lettering import Written
from kenyan13.plots.losses import loss_figure
from kenyan13.plots.rendering import png

TRAIN, VALIDATION = [2.0, 1.5, 1.0, 0.8], [2.1, 1.4, 1.2, 1.3]


def data(line: Line2D) -> tuple[list[float], list[float]]:
    return list(np.asarray(line.get_xdata(), float)), list(np.asarray(line.get_ydata(), float))


def legend(figure: Figure) -> list[str]:
    found = figure.axes[0].get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def test_both_losses_and_their_averages_over_epochs_from_1() -> None:
    above = loss_figure(TRAIN, VALIDATION, "run").axes[0]
    raw_train, smooth_train, raw_validation, smooth_validation = above.lines[:4]
    assert data(raw_train) == ([1, 2, 3, 4], TRAIN)
    assert data(raw_validation) == ([1, 2, 3, 4], VALIDATION)
    assert data(smooth_train)[1] == exponential_moving_average(TRAIN, 0.3)
    assert data(smooth_validation)[1] == exponential_moving_average(VALIDATION, 0.3)
    assert (raw_train.get_alpha() or 1) < 0.5
    assert smooth_train.get_linestyle() != smooth_validation.get_linestyle()  # not by colour alone


def test_the_lowest_validation_loss_is_marked_and_named() -> None:
    figure = loss_figure(TRAIN, VALIDATION)
    assert data(figure.axes[0].lines[4]) == ([3], [1.2])
    assert legend(figure) == ["Training", "Validation", "Lowest validation loss: 1.2 (epoch 3)"]


def test_the_ratio_its_line_and_its_slope() -> None:
    below = loss_figure(TRAIN, VALIDATION).axes[1]
    ratio, _, line = below.lines
    assert data(ratio)[1] == pytest.approx(np.divide(VALIDATION, TRAIN))
    slope = overfitting(TRAIN, VALIDATION)
    assert np.diff(data(line)[1]) == pytest.approx([slope] * 3)
    assert f"overfitting +{slope:.3g} per epoch" in below.get_title("left")


def test_one_epoch_has_no_line() -> None:
    figure = loss_figure([1.2], [1.4])
    assert len(figure.axes[1].lines) == 2  # the ratio, and where both are equal
    assert "no line with one epoch" in figure.axes[1].get_title("left")
    (ticks,) = (part for part in figure.axes[1].findobj(Written) if part.get_gid() == "x")
    assert isinstance(ticks, Written)
    assert ticks.texts == ["1"]


def test_values_that_are_not_finite_are_left_out_and_counted() -> None:
    figure = loss_figure([2, 1.5, float("nan"), 1], [2, float("inf"), 1.5, 1.6], "run")
    assert data(figure.axes[0].lines[0]) == ([1, 2, 4], [2, 1.5, 1])
    assert data(figure.axes[0].lines[2]) == ([1, 3, 4], [2, 1.5, 1.6])
    assert "2 values that are not finite" in figure.texts[1].get_text()
    assert "where a ratio is not finite" in figure.axes[1].get_title("left")
    assert "epoch 3" in legend(figure)[2]


def test_no_finite_value_at_all() -> None:
    figure = loss_figure([float("nan")] * 3, [float("inf")] * 3)
    assert legend(figure) == ["Training", "Validation"]
    assert png(figure)


def test_500_epochs_have_no_markers_that_hide_the_lines() -> None:
    epochs = np.arange(500)
    above = loss_figure(list(2 * np.exp(-epochs / 80) + 0.2), list(np.exp(-epochs / 80) + 1)).axes[0]
    assert above.lines[0].get_marker() in (None, "None", "")
    assert above.get_xlim() == (0.5, 500.5)
    assert above.get_yscale() == "linear"


def test_an_epoch_that_went_wrong_does_not_flatten_the_others() -> None:
    above = loss_figure([2.5, 2.2, 2], [2.4, 5e5, 2.1]).axes[0]
    assert above.get_yscale() == "log"
    assert above.get_ylabel() == "Loss (log scale)"
