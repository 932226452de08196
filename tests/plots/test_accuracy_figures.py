"""Accuracy against size or time, and with intervals one below the other; where names go."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from kenyan13.metrics.statistics import wilson
from kenyan13.plots.accuracy import Point, front, interval_figure, scatter_figure
from kenyan13.plots.placing import Box, place_labels
from kenyan13.plots.rendering import png

POINTS = [
    Point("small", 5, 0.75, 1000, "A"),
    Point("$middle$", 20, 0.82, 1000, "B"),
    Point("large", 80, 0.80, 1000, "A"),
]


def names(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_the_front_holds_the_points_that_no_other_beats() -> None:
    assert front(POINTS) == [0, 1]
    same = [Point("a", 1, 0.5, 10, ""), Point("b", 1, 0.6, 10, ""), Point("c", 2, 0.6, 10, "")]
    assert front(same) == [1]
    assert front([]) == []


def test_points_intervals_families_and_names() -> None:
    figure = scatter_figure(POINTS, "Parameters (millions)", "models")
    axes = figure.axes[0]
    drawn = {tuple(np.asarray(line.get_xdata())): line for line in axes.lines}
    first, second = drawn[(5, 80)], drawn[(20,)]
    assert list(np.asarray(first.get_ydata())) == pytest.approx([75, 80])
    assert first.get_marker() != second.get_marker()
    assert first.get_color() != second.get_color()
    ends = [part.get_segments() for part in axes.collections if isinstance(part, LineCollection)]
    assert ends[1][0][:, 1] == pytest.approx([100 * end for end in wilson(820, 1000)])
    assert sorted(names(figure)) == ["$middle$", "large", "small"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B"]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "Parameters (millions), log scale"
    assert "Named" not in figure.texts[1].get_text()


def test_where_names_have_no_room_only_the_front_is_named_and_a_note_says_so() -> None:
    generator = np.random.default_rng(0)
    crowd = [
        Point(f"a_rather_long_name_{k}", 10 + 0.01 * k, 0.7 + 0.001 * generator.random(), 99, "") for k in range(99)
    ]
    points = [*crowd, Point("best", 50, 0.9, 99, "")]
    figure = scatter_figure(points, "Minutes", log=False)
    best = {points[place].name for place in front(points)}
    assert "best" in names(figure)
    assert set(names(figure)) <= best
    assert "Named: runs on the front" in figure.texts[0].get_text()
    assert figure.axes[0].get_xscale() == "linear"
    assert png(figure)


def overlap(first: Box, second: Box) -> bool:
    return first.covers(second.left, second.low, second.right, second.high)


def test_placed_names_cover_neither_each_other_nor_a_point() -> None:
    at = np.random.default_rng(1).uniform(0.5, 5, (40, 2))
    found = place_labels(at, [(0.6, 0.12)] * 40, range(40), 0.1, (7.0, 5.5))
    boxes = list(found.values())
    assert len(boxes) > 25
    assert not any(overlap(boxes[i], boxes[j]) for i in range(len(boxes)) for j in range(i))
    for box in boxes:
        inside = (at[:, 0] > box.left) & (at[:, 0] < box.right) & (at[:, 1] > box.low) & (at[:, 1] < box.high)
        assert not inside.any()
        assert box.left >= 0
        assert box.right <= 7
    assert found[0].anchor == tuple(at[0])


def test_a_lone_point_is_named_on_its_right() -> None:
    (box,) = place_labels(np.array([[1.0, 1.0]]), [(0.5, 0.1)], [0], 0.1, (3, 3)).values()
    assert (box.left, box.low) == pytest.approx((1.09, 0.95))
    assert not box.far


@pytest.mark.parametrize("number", [0, 1])
def test_scatter_of_hardly_any_point(number: int) -> None:
    assert png(scatter_figure(POINTS[:number], "x $", "title"))


def test_intervals_in_the_given_order_with_the_studys_values() -> None:
    figure = interval_figure(["b", "a", "<c>"], [0.8, 0.6, 1.0], [100, 50, 10], "group", [0.79, None, 0.9])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a", "<c>"]
    assert axes.yaxis_inverted()
    ours, study = axes.lines
    assert list(np.asarray(ours.get_xdata())) == pytest.approx([80, 60, 100])
    assert list(np.asarray(study.get_xdata())) == pytest.approx([79, 90])
    assert list(np.asarray(study.get_ydata())) == [0, 2]
    assert (study.get_marker(), study.get_markerfacecolor()) == ("D", "none")
    assert study.get_color() != ours.get_color()
    (lines,) = (part for part in axes.collections if isinstance(part, LineCollection))
    spans = [100 * np.array(wilson(*counts)) for counts in ((80, 100), (30, 50), (10, 10))]
    assert [list(line[:, 0]) for line in lines.get_segments()] == [pytest.approx(span) for span in spans]
    assert names(figure) == ["80.0", "60.0", "100.0"]


def test_the_figure_of_intervals_grows_with_its_runs() -> None:
    few = interval_figure(["a"] * 5, [0.5] * 5, [10] * 5).get_size_inches()[1]
    many = interval_figure(["a"] * 60, [0.5] * 60, [10] * 60).get_size_inches()[1]
    assert many - few == pytest.approx(55 * 0.25)
