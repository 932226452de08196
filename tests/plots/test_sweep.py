"""The plots of a sweep, and of a rate that rises from step to step."""

import math

import numpy as np
import pytest
from matplotlib.axes import Axes

from kenyan13.plots.style import render
from kenyan13.plots.training import range_test_plot, sweep_plot

RATES = [10 ** (-6 + k / 4) for k in range(17)]
LOSSES: list[float | None] = [2.3, 2, 1.7, 1.4, 1.2, 1, 0.9, 0.82, 0.76, 0.74, 0.78, 0.9, 1.2, 1.9, 2.5, 9e5, math.inf]
SUMS: list[float | None] = [None if loss is None else 10 * loss for loss in LOSSES]
ACCURACIES: list[float | None] = [0.7 - 0.005 * abs(k - 9) for k in range(17)]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_sorted_by_value_without_what_is_missing() -> None:
    accuracies = [0.5, None, 0.6, math.nan]
    figure = sweep_plot("optim.lr", [1e-3, 1e-4, 1e-5, 1e-2], [1, 2, 3, None], [4, 5, 6, 7], accuracies, None)
    losses, _, shown = (axes.lines[0] for axes in figure.axes)
    assert list(np.asarray(losses.get_xdata())) == [1e-5, 1e-4, 1e-3]
    assert list(np.asarray(losses.get_ydata())) == [3, 2, 1]
    assert list(np.asarray(shown.get_xdata())) == [1e-5, 1e-3]
    assert list(np.asarray(shown.get_ydata())) == [60, 50]
    assert figure.axes[-1].get_xlabel() == "optim.lr (log scale)"
    shares = sweep_plot("optim.weight_decay", [0, 0.1, 0.2], [1, 2, 3], [1, 2, 3], [0.5, 0.6, 0.7], None)
    assert shares.axes[0].get_xscale() == "linear"


def test_the_best_of_each_panel_is_marked_and_named() -> None:
    figure = sweep_plot("optim.lr", RATES, LOSSES, SUMS, ACCURACIES, None)
    assert [axes.get_title("left").split(". Arrows")[0] for axes in figure.axes] == [
        "Lowest 0.74 at 0.000178",
        "Lowest 7.4 at 0.000178",
        "Highest 70.0 % at 0.000178",
    ]
    ring = figure.axes[0].lines[1]
    assert list(np.asarray(ring.get_xdata())) == pytest.approx([RATES[9]])
    assert list(np.asarray(ring.get_ydata())) == [0.74]


def test_outliers_lie_outside_the_limits_with_an_arrow_and_their_value() -> None:
    figure = sweep_plot("optim.lr", RATES, LOSSES, SUMS, ACCURACIES, None)
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert 0.5 < low < 0.74
    assert 2.5 < high < 3
    arrows = [line for line in axes.lines if line.get_marker() == "^"]
    assert [np.asarray(line.get_xdata())[0] for line in arrows] == pytest.approx(RATES[15:])
    assert texts(axes) == ["9e+05", "inf"]
    assert len(np.asarray(axes.lines[0].get_xdata())) == 15
    assert not texts(figure.axes[2])


def test_low_outliers_point_down_and_the_best_value_is_never_one() -> None:
    accuracies: list[float | None] = [0.70, 0.71, 0.72, 0.71, 0.70, 0.05]
    axes = sweep_plot("optim.lr", RATES[:6], [1.0] * 6, [1.0, 1.1, 1.05, 1.1, 1.0, 1e-9], accuracies, None).axes
    assert [line.get_marker() for line in axes[2].lines].count("v") == 1
    assert texts(axes[2]) == ["5"]
    assert not texts(axes[1])
    assert axes[1].get_ylim()[0] < 1e-9


def test_lines_of_our_best_value_and_the_studys_go_through_all_panels() -> None:
    figure = sweep_plot("optim.lr", RATES, LOSSES, SUMS, ACCURACIES, 3.16e-4)
    for axes in figure.axes:
        upright = [line for line in axes.lines if list(np.asarray(line.get_ydata())) == [0, 1]]
        assert [np.asarray(line.get_xdata())[0] for line in upright] == pytest.approx([RATES[9], 3.16e-4])
        assert [line.get_linestyle() for line in upright] == ["-", "--"]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["Lowest loss: at 0.000178", "Best of the study: 0.000316"]


def test_one_run_and_no_value() -> None:
    assert render(sweep_plot("optim.lr", [1e-3], [0.9], [9.0], [0.7], None))
    empty = sweep_plot("optim.lr", [1e-3, 1e-4], [None, None], [math.nan, None], [None, None], 1e-5)
    assert [axes.get_title("left") for axes in empty.axes] == ["No value"] * 3
    assert render(empty)


def test_a_rising_rate_s_losses_with_the_suggestion() -> None:
    rates, losses = np.logspace(-6, 0, 40), np.r_[np.linspace(2, 1, 30), np.linspace(1, 50, 10)]
    figure = range_test_plot(rates.tolist(), losses, losses + 0.5, 3e-4)
    axes = figure.axes[0]
    each, smoothed, suggested = axes.lines
    assert np.asarray(each.get_ydata()) == pytest.approx(losses)
    assert np.asarray(smoothed.get_ydata()) == pytest.approx(losses + 0.5)
    assert list(np.asarray(suggested.get_xdata())) == [3e-4, 3e-4]
    assert suggested.get_label() == "Suggested: 3.0e-04"
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[1] < 3, "what rises far is outside"
    assert b"mathdefault" not in render(figure, "svg")
