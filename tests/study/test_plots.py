"""The study's own plots: ensembles, votes, and loader processes."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle

from kenyan13.metrics.classification import standard_error
from kenyan13.study.ensembles import ensemble_plot, vote_plot
from kenyan13.study.sections import worker_plot

STUDY = {"AP": [0.83, 0.84, 0.85], "V1": [0.82, 0.83, 0.84]}


def band(axes: Axes) -> list[float]:
    (found,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    return [found.get_y(), found.get_y() + found.get_height()]


def test_ensembles_of_ours_and_the_study_share_an_axis() -> None:
    ours, study = ensemble_plot([2, 3, 4], {"AP": [0.8, None, 0.82], "MP": [0.81, 0.8, 0.79]}, STUDY, 400).axes
    assert list(np.asarray(ours.lines[0].get_xdata())) == [2, 4]
    assert list(np.asarray(ours.lines[0].get_ydata())) == pytest.approx([80, 82])
    assert list(np.asarray(study.lines[2].get_ydata())) == pytest.approx([82, 83, 84])
    assert ours.get_ylim() == study.get_ylim()
    assert len({(line.get_marker(), line.get_linestyle()) for line in ours.lines[:4]}) == 4
    for axes, best, images in ((ours, 0.82, 400), (study, 0.85, 1308)):
        error = standard_error(best, images)
        assert band(axes) == pytest.approx([100 * (best - error), 100 * (best + error)])
    assert not ensemble_plot([2], {"AP": [None]}, STUDY, 100).axes[0].patches


def test_votes_are_split_into_right_and_wrong_with_the_share_above() -> None:
    axes = vote_plot(np.array([3, 3, 3, 2, 1]), 3, np.array([True, False, True, True, False])).axes[0]
    good, wrong = (bars for bars in axes.containers if isinstance(bars, BarContainer))
    assert [[bar.get_height() for bar in bars] for bars in (good, wrong)] == [[0, 1, 2], [1, 0, 1]]
    assert [bar.get_y() for bar in wrong] == [0, 1, 2]
    assert all(bar.get_hatch() for bar in wrong)
    assert [text.get_text() for text in axes.texts] == ["0", "100", "67"]
    unknown = vote_plot(np.array([3, 3, 2]), 3, None).axes[0]
    assert unknown.get_title("left") == "3 images; all 3 votes for one class: 2."
    assert not unknown.texts


def test_seconds_by_loader_processes() -> None:
    axes = worker_plot([1, 2, 4], [60.0, None, 20.0], [143, 76, 40]).axes[0]
    ours, study = axes.lines
    assert list(np.asarray(ours.get_xdata())) == [1, 4]
    assert list(np.asarray(ours.get_ydata())) == [60, 20]
    assert list(np.asarray(study.get_ydata())) == [143, 76, 40]
    assert (ours.get_marker(), ours.get_linestyle()) != (study.get_marker(), study.get_linestyle())
    assert axes.get_ylim()[0] == 0
    assert "Ours: fastest with 4 processes, 20 s an epoch" in axes.get_title("left")
    assert worker_plot([], [], []).axes[0].get_title("left") == "No values"
