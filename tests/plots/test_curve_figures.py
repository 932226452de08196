"""Precision-recall curves and reliability."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from kenyan13.metrics.classification import Reliability, reliability
from kenyan13.plots.curves import OTHER, precision_recall_figure, reliability_figure
from kenyan13.plots.lettering import Written
from kenyan13.plots.rendering import png


def predictions(classes: int, images: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    generator = np.random.default_rng(classes)
    targets = generator.integers(0, classes, images)
    values = np.exp(generator.normal(0, 1, (images, classes)) + 2 * np.eye(classes)[targets])
    return targets, values / values.sum(axis=1, keepdims=True)


def listed(figure: Figure) -> list[str]:
    return [
        text.replace("\N{FIGURE SPACE}", "")
        for part in figure.findobj(Written)
        if isinstance(part, Written) and part.get_gid() == "classes"
        for text in part.texts
    ]


def test_one_curve_by_hand() -> None:
    targets, first = np.array([0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.1])
    figure = precision_recall_figure(targets, np.column_stack([first, 1 - first]), ["a", "b"])
    # Class a: in order of its probability an image of a, of b, of a, of b. Precision 1, 1/2, 2/3, 1/2.
    assert "83.3  a" in listed(figure)
    curve = figure.axes[0].lines[[row == "83.3  a" for row in listed(figure)].index(True)]
    assert sorted(set(np.asarray(curve.get_xdata()).tolist())) == [0, 50, 100]
    points = np.column_stack([np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())]).round(1)
    assert {(50.0, 100.0), (100.0, 66.7)} <= {tuple(point) for point in points.tolist()}


def test_average_precisions_are_scikit_learns_lowest_first() -> None:
    targets, probabilities = predictions(5, 200)
    figure = precision_recall_figure(targets, probabilities, list("abcde"), "run")
    found = {"abcde"[k]: 100 * average_precision_score(targets == k, probabilities[:, k]) for k in range(5)}
    assert listed(figure) == [f"{found[name]:.1f}  {name}" for name in sorted(found, key=lambda name: found[name])]
    assert f"mean {np.mean(list(found.values())):.1f} %" in figure.texts[1].get_text()
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 5


def test_of_many_classes_the_six_lowest_are_told_apart() -> None:
    figure = precision_recall_figure(*predictions(13, 400), [f"class {k}" for k in range(13)])
    lines = figure.axes[0].lines
    assert [line.get_color() for line in lines].count(OTHER) == 7
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 7
    assert all(line.get_color() != OTHER for line in lines[:6])
    assert len({line.get_linestyle() for line in lines[:6]}) > 2  # also in grey
    (samples,) = (part for part in figure.axes[1].collections if isinstance(part, LineCollection))
    assert len(samples.get_segments()) == len(listed(figure)) == 13


def test_classes_without_images_are_left_out_and_said() -> None:
    targets, probabilities = predictions(4, 60)
    targets[targets == 2] = 3
    figure = precision_recall_figure(targets, probabilities, ["a", "b", "$c$", "d"])
    assert len(figure.axes[0].lines) == 3
    assert "No images, no curve: $c$." in figure.texts[0].get_text()


def test_the_list_of_43_classes_stays_inside_the_figure() -> None:
    figure = precision_recall_figure(*predictions(43, 900), [f"class {k}" for k in range(43)])
    assert len(listed(figure)) == 43
    assert len(figure.axes) == 3  # the list takes two columns
    assert all(axes.get_position().x1 <= 1 for axes in figure.axes)


def heights(part: PolyCollection) -> list[float]:
    return [float(np.ptp(np.asarray(path.vertices)[:, 1])) for path in part.get_paths()]


def test_reliability_bars_gaps_and_numbers() -> None:
    edges = np.linspace(0, 1, 5)
    found = Reliability(edges, np.array([0, 4, 10, 6]), np.array([0, 0.4, 0.6, 0.9]), np.array([0, 0.5, 0.5, 0.9]))
    figure = reliability_figure(found, 0.07, "run")
    above, below = figure.axes
    accuracy, gap = (part for part in above.collections if isinstance(part, PolyCollection))
    assert heights(accuracy) == pytest.approx([50, 50, 90])
    assert heights(gap) == pytest.approx([10, 10, 0])
    assert gap.get_hatch()
    assert np.asarray(gap.get_paths()[0].vertices)[0].tolist() == pytest.approx([25, 40])  # from confidence up
    (images,) = (part for part in below.collections if isinstance(part, PolyCollection))
    assert heights(images) == [4, 10, 6]
    (counts,) = (part for part in below.findobj(Written) if part.get_gid() == "counts")
    assert isinstance(counts, Written)
    assert counts.texts == ["4", "10", "6"]
    assert figure.texts[1].get_text() == "Expected calibration error: 7.0 %; 20 images."
    assert list(np.asarray(above.lines[0].get_ydata())) == [0, 100]  # the diagonal


def test_reliability_without_images() -> None:
    figure = reliability_figure(reliability(np.zeros(0, np.int64), np.zeros((0, 3))), 0.0)
    assert png(figure)
