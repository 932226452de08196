"""Precision-recall curves and reliability."""

import numpy as np
import pytest
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from kenyan13.metrics.classification import Reliability, reliability
from kenyan13.plots.predictions import OTHER, precision_recall_plot, reliability_plot
from kenyan13.plots.style import render


def predictions(classes: int, images: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    generator = np.random.default_rng(classes)
    targets = generator.integers(0, classes, images)
    values = np.exp(generator.normal(0, 1, (images, classes)) + 2 * np.eye(classes)[targets])
    return targets, values / values.sum(axis=1, keepdims=True)


def listed(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_one_curve_by_hand() -> None:
    targets, first = np.array([0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.1])
    figure = precision_recall_plot(targets, np.column_stack([first, 1 - first]), ["a", "b"])
    # Class a: in order of its probability an image of a, of b, of a, of b. Precision 1, 1/2, 2/3, 1/2.
    curve = figure.axes[0].lines[listed(figure).index("83.3  a")]
    points = np.column_stack([np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())]).round(1).tolist()
    assert points == [[100, 66.7], [50, 50], [50, 100], [0, 100]]  # from the last image of the class down


def test_average_precisions_are_scikit_learns_lowest_first() -> None:
    targets, probabilities = predictions(5, 200)
    figure = precision_recall_plot(targets, probabilities, list("abcde"))
    found = {"abcde"[k]: 100 * average_precision_score(targets == k, probabilities[:, k]) for k in range(5)}
    assert listed(figure) == [f"{found[name]:.1f}  {name}" for name in sorted(found, key=lambda name: found[name])]
    assert f"mean {np.mean(list(found.values())):.1f} %" in figure.axes[0].get_title("left")
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}) == 5


def test_of_many_classes_the_six_lowest_are_told_apart() -> None:
    figure = precision_recall_plot(*predictions(43, 900), [f"class {k}" for k in range(43)])
    lines = figure.axes[0].lines
    assert [line.get_color() for line in lines].count(OTHER) == 37
    assert all(line.get_color() != OTHER for line in lines[:6])
    assert len({line.get_linestyle() for line in lines[:6]}) > 2  # also in grey
    assert len(listed(figure)) == 43
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.y0 >= 0, "the list stays inside the figure"
    assert legend.x1 <= figure.bbox.x1


def test_classes_without_images_are_left_out_and_named() -> None:
    targets, probabilities = predictions(4, 60)
    targets[targets == 2] = 3
    figure = precision_recall_plot(targets, probabilities, ["a", "b", "$c$", "d"])
    assert len(figure.axes[0].lines) == 3
    assert "No images, no curve: $c$." in figure.axes[0].get_title("left")


def test_reliability_bars_gaps_and_numbers() -> None:
    edges = np.linspace(0, 1, 5)
    found = Reliability(edges, np.array([0, 4, 10, 6]), np.array([0, 0.4, 0.6, 0.9]), np.array([0, 0.5, 0.5, 0.9]))
    figure = reliability_plot(found)
    above, below = figure.axes
    accuracy, gap = (bars for bars in above.containers if isinstance(bars, BarContainer))
    assert [bar.get_height() for bar in accuracy] == pytest.approx([50, 50, 90])
    assert [bar.get_y() for bar in gap] == pytest.approx([40, 50, 90])
    assert [bar.get_height() for bar in gap] == pytest.approx([10, 10, 0])
    assert gap[0].get_hatch()
    assert gap[0].get_x() == 25
    (images,) = (bars for bars in below.containers if isinstance(bars, BarContainer))
    assert [bar.get_height() for bar in images] == [4, 10, 6]
    assert [text.get_text() for text in below.texts] == ["4", "10", "6"]
    assert above.get_title("left") == "Expected calibration error: 7.0 %; 20 images."


def test_reliability_without_images() -> None:
    assert render(reliability_plot(reliability(np.zeros(0, np.int64), np.zeros((0, 3)))))
