"""The plots over epochs: lines, marks, and values that are not numbers."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kenyan13.metrics.losses import overfitting_line
from kenyan13.plots.style import render
from kenyan13.plots.training import accuracy_plot, loss_plot

TRAIN, VALIDATION = [2.0, 1.5, 1.0, 0.8], [2.1, 1.4, 1.2, 1.3]


def data(line: Line2D) -> tuple[list[float], list[float]]:
    return list(np.asarray(line.get_xdata(), float)), list(np.asarray(line.get_ydata(), float))


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def smoothed(values: list[float]) -> object:
    """The exponential moving average that weighs the newest value with 0.3."""
    averages = [values[0]]
    for value in values[1:]:
        averages.append(0.3 * value + 0.7 * averages[-1])
    return pytest.approx(averages)


def test_both_losses_and_their_averages_over_epochs_from_1() -> None:
    figure = loss_plot(TRAIN, VALIDATION, "run")
    above = figure.axes[0]
    train, smooth_train, validation, smooth_validation = above.lines[:4]
    assert data(train) == ([1, 2, 3, 4], TRAIN)
    assert data(validation) == ([1, 2, 3, 4], VALIDATION)
    assert data(smooth_train)[1] == smoothed(TRAIN)
    assert data(smooth_validation)[1] == smoothed(VALIDATION)
    assert smooth_train.get_linestyle() != smooth_validation.get_linestyle()  # not by colour alone
    assert data(figure.axes[0].lines[4]) == ([3], [1.2])
    assert legend(figure) == ["Training", "Validation", "Lowest validation loss: 1.2 (epoch 3)"]


def test_the_ratio_its_line_and_its_slope() -> None:
    below = loss_plot(TRAIN, VALIDATION).axes[1]
    ratio, _, line = below.lines
    assert data(ratio)[1] == pytest.approx(np.divide(VALIDATION, TRAIN))
    slope, _ = overfitting_line(TRAIN, VALIDATION)
    assert np.diff(data(line)[1]) == pytest.approx([slope] * 3)
    assert f"overfitting +{slope:.3g} per epoch" in below.get_title("left")


def test_values_that_are_not_finite_are_left_out_and_counted() -> None:
    figure = loss_plot([2, 1.5, float("nan"), 1], [2, float("inf"), 1.5, 1.6], "run")
    assert data(figure.axes[0].lines[0]) == ([1, 2, 4], [2, 1.5, 1])
    assert data(figure.axes[0].lines[2]) == ([1, 3, 4], [2, 1.5, 1.6])
    assert "2 values that are not finite" in figure.axes[0].get_title("left")
    assert "where a ratio is not finite" in figure.axes[1].get_title("left")
    assert "epoch 3" in legend(figure)[2]
    figure = loss_plot([float("nan")] * 3, [float("inf")] * 3)
    assert legend(figure) == ["Training", "Validation"]
    assert render(figure)
    assert "no line with one epoch" in loss_plot([1.2], [1.4]).axes[1].get_title("left")


def test_an_epoch_that_went_wrong_does_not_flatten_the_others() -> None:
    above = loss_plot([2.5, 2.2, 2], [2.4, 5e5, 2.1]).axes[0]
    assert above.get_yscale() == "log"
    assert above.get_ylabel() == "Loss (log scale)"


def test_accuracy_and_f1_with_the_epoch_of_the_lowest_loss() -> None:
    figure = accuracy_plot([0.5, 0.75, 0.7], [0.4, 0.6, 0.65], 2)
    accuracy, macro_f1, best = figure.axes[0].lines
    assert data(accuracy)[0] == [1, 2, 3]
    assert data(accuracy)[1] == pytest.approx([50, 75, 70])
    assert data(macro_f1)[1] == pytest.approx([40, 60, 65])
    assert data(best) == ([2], [75])
    assert legend(figure)[2] == "75.0 % in the epoch that is kept (2)"
