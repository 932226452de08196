"""Accuracy against size or time, and with intervals one below the other."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from kenyan13.metrics.classification import wilson
from kenyan13.plots.accuracy import Point, front, interval_plot, scatter_plot
from kenyan13.plots.style import render

POINTS = [
    Point("small", 5, 0.75, 1000, "A"),
    Point("$middle$", 20, 0.82, 1000, "B"),
    Point("large", 80, 0.80, 1000, "A"),
]


def names(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_front_holds_the_points_that_no_other_beats() -> None:
    assert [point.name for point in front(POINTS)] == ["small", "$middle$"]
    same = [Point("a", 1, 0.5, 10, ""), Point("b", 1, 0.6, 10, ""), Point("c", 2, 0.6, 10, "")]
    assert [point.name for point in front(same)] == ["b"]
    assert front([]) == []


def test_points_intervals_families_and_names() -> None:
    figure = scatter_plot(POINTS, "Parameters (millions)")
    axes = figure.axes[0]
    drawn = {tuple(np.asarray(line.get_xdata())): line for line in axes.lines}
    first, second = drawn[(5, 80)], drawn[(20,)]
    assert list(np.asarray(first.get_ydata())) == pytest.approx([75, 80])
    assert (first.get_marker(), first.get_color()) != (second.get_marker(), second.get_color())
    ends = [part.get_segments() for part in axes.collections if isinstance(part, LineCollection)]
    assert ends[1][0][:, 1] == pytest.approx([100 * end for end in wilson(0.82, 1000)])
    assert sorted(names(figure)) == ["$middle$", "small"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B"]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "Parameters (millions), log scale"


def test_names_on_a_crowded_front_do_not_overlap() -> None:
    points = [Point(f"run {k}", 10 + k / 10, 0.7 + 0.002 * k, 99, "") for k in range(50)]
    figure = scatter_plot(points, "Minutes")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert names(figure)[0] == "run 49"
    assert len(boxes) > 3
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(len(boxes)) for j in range(i))


def test_scatter_of_one_point() -> None:
    assert render(scatter_plot(POINTS[:1], "x $"))


def test_intervals_in_the_given_order_with_the_studys_values() -> None:
    figure = interval_plot(["b", "a", "<c>"], [0.8, 0.6, 1.0], [100, 50, 10], [0.79, None, 0.9])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a", "<c>"]
    assert axes.yaxis_inverted()
    ours, study = axes.lines
    assert list(np.asarray(ours.get_xdata())) == pytest.approx([80, 60, 100])
    assert list(np.asarray(study.get_xdata())) == pytest.approx([79, 90])
    assert list(np.asarray(study.get_ydata())) == [0, 2]
    assert study.get_marker() != ours.get_marker()
    (lines,) = (part for part in axes.collections if isinstance(part, LineCollection))
    spans = [100 * np.array(wilson(*counts)) for counts in ((0.8, 100), (0.6, 50), (1, 10))]
    assert [list(line[:, 0]) for line in lines.get_segments()] == [pytest.approx(span) for span in spans]
    assert names(figure) == ["80.0", "60.0", "100.0"]
