"""Ensembles, votes, and loader processes."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle

from kenyan13.metrics.statistics import standard_error
from kenyan13.plots.ensembles import STUDY_IMAGES, ensemble_figure, vote_figure
from kenyan13.plots.loading import worker_figure

STUDY = {"AP": [0.83, 0.84, 0.85], "V1": [0.82, 0.83, 0.84]}


def band(axes: Axes) -> tuple[float, float]:
    (found,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    return found.get_y(), found.get_y() + found.get_height()


def test_ours_and_the_studys_share_an_axis() -> None:
    figure = ensemble_figure([2, 3, 4], {"AP": [0.8, None, 0.82], "MP": [0.81, 0.8, 0.79]}, STUDY, 400, "H1")
    ours, study = figure.axes
    assert list(np.asarray(ours.lines[0].get_xdata())) == [2, 4]
    assert list(np.asarray(ours.lines[0].get_ydata())) == pytest.approx([80, 82])
    assert list(np.asarray(study.lines[1].get_ydata())) == pytest.approx([82, 83, 84])
    assert ours.get_ylim() == study.get_ylim()
    assert len({(line.get_marker(), line.get_linestyle()) for line in ours.lines[:2]}) == 2
    assert ours.lines[0].get_color() == study.lines[0].get_color()  # AP in both
    assert [ours.get_title("left"), study.get_title("left")] == ["Ours, 400 images", "Study, 1,308 images"]


def test_bands_are_one_standard_error_of_the_best_value() -> None:
    ours, study = ensemble_figure([2, 3, 4], {"AP": [0.8, 0.82, 0.81]}, STUDY, 400).axes
    error = 100 * standard_error(0.82, 400)
    assert band(ours) == pytest.approx((82 - error, 82 + error))
    error = 100 * standard_error(0.85, STUDY_IMAGES)
    assert band(study) == pytest.approx((85 - error, 85 + error))


def test_without_the_study_and_without_values_there_is_one_panel() -> None:
    assert len(ensemble_figure([2], {"AP": [0.8]}, None, 100).axes) == 1
    assert not ensemble_figure([2], {"AP": [None]}, None, 100).axes[0].lines


def bar_heights(axes: Axes) -> list[list[float]]:
    return [[bar.get_height() for bar in found] for found in axes.containers if isinstance(found, BarContainer)]


def test_votes_are_split_into_right_and_wrong_with_the_share_above() -> None:
    right = np.array([True, False, True, True, False])
    figure = vote_figure(np.array([3, 3, 3, 2, 1]), 3, right, "HAA")
    axes = figure.axes[0]
    assert bar_heights(axes) == [[0, 1, 2], [1, 0, 1]]
    wrong = axes.containers[1]
    assert isinstance(wrong, BarContainer)
    assert [bar.get_y() for bar in wrong] == [0, 1, 2]
    assert all(bar.get_hatch() for bar in wrong)
    assert [text.get_text() for text in axes.texts] == ["0", "100", "67"]


def test_votes_of_images_without_known_targets() -> None:
    figure = vote_figure(np.array([3, 3, 2]), 3, None)
    assert bar_heights(figure.axes[0]) == [[0, 1, 2]]
    assert "all 3 votes for one class: 2" in figure.texts[0].get_text()
    assert not figure.axes[0].texts


def test_seconds_by_loader_processes() -> None:
    figure = worker_figure([1, 2, 4], [60.0, None, 20.0], [143, 76, 40], "ACA")
    ours, study = figure.axes[0].lines
    assert list(np.asarray(ours.get_xdata())) == [1, 4]
    assert list(np.asarray(ours.get_ydata())) == [60, 20]
    assert list(np.asarray(study.get_ydata())) == [143, 76, 40]
    assert (ours.get_marker(), ours.get_linestyle()) != (study.get_marker(), study.get_linestyle())
    assert figure.axes[0].get_ylim()[0] == 0
    assert "Ours: fastest with 4 processes, 20 s an epoch" in figure.texts[1].get_text()


def test_seconds_without_values() -> None:
    figure = worker_figure([], [])
    assert not figure.axes[0].lines
    assert figure.texts[0].get_text() == "No values"
