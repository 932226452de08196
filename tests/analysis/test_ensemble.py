"""Combining runs: by hand, and against plain loops."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kenyan13.analysis.ensemble import METHODS, Probabilities, accuracy_table, align, read_models
from kenyan13.config.compose import compose_settings
from kenyan13.errors import UserError
from kenyan13.runs.config_file import write_config
from kenyan13.runs.predictions import prediction_table
from kenyan13.runs.result import Result, write_result

ROOT = Path(__file__).parents[2]


def one_image(*runs: list[float]) -> Probabilities:
    """Probabilities [runs, 1, classes] of a single image."""
    return np.array(runs)[:, None, :]


def saved(ids: str, targets: str, probabilities: list[list[float]], classes: str = "abc") -> pd.DataFrame:
    """Predictions of images; a dot stands for an image without target."""
    names = ["" if one == "." else one for one in targets]
    return prediction_table(list(ids), list(classes), np.array(probabilities), names)


def test_ensembles_need_no_torch() -> None:
    modules = ("analysis.ensemble", "study.ensembles", "analysis.saving")
    program = "".join(f"import kenyan13.{name}; " for name in modules) + "import sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


# The most accurate run first. Sums of the classes: 1.1, 1.0, 0.9.
SPREAD = one_image([0.6, 0.1, 0.3], [0.2, 0.7, 0.1], [0.3, 0.2, 0.5])


def test_average_and_maximum_by_hand() -> None:
    assert METHODS["AP"](SPREAD).tolist() == [0]
    assert METHODS["MP"](SPREAD).tolist() == [1]
    # two lukewarm runs outweigh a certain one in the mean (1.1 to 0.9), and not in the maximum
    lukewarm = one_image([0.9, 0.1], [0.1, 0.9], [0.4, 0.6])
    assert METHODS["AP"](lukewarm).tolist() == [1]
    certain = one_image([0.95, 0.05], [0.4, 0.6], [0.1, 0.9])
    assert METHODS["MP"](certain).tolist() == [0]
    assert METHODS["AP"](certain).tolist() == [1]  # 1.45 to 1.55


def test_a_majority_wins_whatever_the_probabilities() -> None:
    outvoted = one_image([0.98, 0.01, 0.01], [0.3, 0.4, 0.3], [0.3, 0.4, 0.3])
    assert METHODS["V1"](outvoted).tolist() == [1]
    assert METHODS["V2"](outvoted).tolist() == [1]


def test_ties_of_single_votes() -> None:
    assert METHODS["V1"](SPREAD).tolist() == [0], "all classes have a vote: the first run decides"
    assert METHODS["V2"](SPREAD).tolist() == [1], "the vote with 0.7 decides"


def test_only_votes_for_tied_classes_break_a_tie() -> None:
    # Votes 2, 1, 0, 0, 1: classes 0 and 1 are tied. The first run voted for neither, and is the most certain.
    runs = one_image([0.0, 0.01, 0.99], [0.2, 0.5, 0.3], [0.7, 0.1, 0.2], [0.4, 0.3, 0.3], [0.1, 0.6, 0.3])
    assert METHODS["V1"](runs).tolist() == [1], "the second run is the most accurate that voted for 0 or 1"
    assert METHODS["V2"](runs).tolist() == [0], "0.7, of the third run"


def test_a_probability_that_is_no_vote_breaks_no_tie() -> None:
    # Votes 2, 0, 0, 1, 1: the highest probability of class 0 is 0.49 in the first run, but 0.4 in a vote; of 1, 0.45.
    runs = one_image([0.49, 0.0, 0.51], [0.4, 0.3, 0.3], [0.4, 0.3, 0.3], [0.3, 0.45, 0.25], [0.3, 0.45, 0.25])
    assert METHODS["V2"](runs).tolist() == [1]
    assert METHODS["V1"](runs).tolist() == [0]


def test_equal_probabilities_of_tied_votes_go_to_the_more_accurate_run() -> None:
    runs = one_image([0.2, 0.6, 0.2], [0.6, 0.2, 0.2])
    assert METHODS["V2"](runs).tolist() == [1]
    assert METHODS["V1"](runs).tolist() == [1]
    assert METHODS["V1"](runs[::-1]).tolist() == [0]


def loop(method: str, runs: list[list[float]]) -> int:
    """The four methods for one image, written as the study says them."""
    sums = [sum(column) for column in zip(*runs, strict=True)]
    if method == "AP":
        return sums.index(max(sums))
    if method == "MP":
        highest = [max(column) for column in zip(*runs, strict=True)]
        return highest.index(max(highest))
    votes = [run.index(max(run)) for run in runs]
    tally = Counter(votes)
    tied = {vote for vote in votes if tally[vote] == max(tally.values())}
    voters = [run for run, vote in zip(runs, votes, strict=True) if vote in tied]
    decisive = voters[0] if method == "V1" else max(voters, key=max)
    return decisive.index(max(decisive))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("models", [1, 2, 3, 4, 7])
def test_methods_do_what_a_loop_does(method: str, models: int) -> None:
    probabilities = np.random.default_rng(models).dirichlet(np.full(5, 0.7), size=(models, 400))
    expected = [loop(method, probabilities[:, row].tolist()) for row in range(400)]
    assert METHODS[method](probabilities).tolist() == expected


FIRST = saved("xyz", "ab.", [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])
SECOND = saved("zxy", ".ab", [[0.3, 0.3, 0.4], [0.1, 0.7, 0.2], [0.4, 0.5, 0.1]])


def test_align_puts_images_into_the_order_of_the_first_run() -> None:
    aligned = align({"first": FIRST, "second": SECOND})
    assert aligned.ids == ("x", "y", "z")
    assert aligned.classes == ("a", "b", "c")
    assert aligned.targets.tolist() == [0, 1, -1]
    assert aligned.probabilities.tolist() == [
        [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]],
        [[0.1, 0.7, 0.2], [0.4, 0.5, 0.1], [0.3, 0.3, 0.4]],
    ]


def test_align_refuses_other_classes_images_and_labels() -> None:
    with pytest.raises(UserError, match=r"runs/2 has other classes \(a, b, d\) than runs/1 \(a, b, c\)"):
        align({"runs/1": FIRST, "runs/2": SECOND.rename(columns={"c": "d"})})
    with pytest.raises(UserError, match=r"1 are only in runs/1, 1 only in runs/2.*\n.*another seed.*--test"):
        align({"runs/1": FIRST, "runs/2": SECOND.set_axis(["w", "x", "y"])})
    more = saved("zxyw", ".abc", [[0.3, 0.3, 0.4]] * 4)
    with pytest.raises(UserError, match=r"0 are only in runs/1, 1 only in runs/2"):
        align({"runs/1": FIRST, "runs/2": more})
    with pytest.raises(UserError, match="1 images have another label in runs/2"):
        align({"runs/1": FIRST, "runs/2": SECOND.assign(target=["", "a", "c"])})


def test_accuracy_leaves_out_images_without_label() -> None:
    third = saved("xyzw", "ab.c", [[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]])
    assert accuracy_table(align({"third": third}))["AP"].tolist() == [pytest.approx(2 / 3)]
    with pytest.raises(UserError, match="None of the images has a label"):
        accuracy_table(align({"third": third.assign(target="")}))


def test_table_of_accuracies_by_hand() -> None:
    table = accuracy_table(align({"first": FIRST, "second": SECOND}))
    assert list(table.columns) == ["models", "AP", "MP", "V1", "V2"]
    # The first run is right about x and y. Both: x has sums 0.9, 0.8, 0.3, highest 0.8 for a, a tie of a and b.
    assert table.to_numpy().tolist() == [[1, 1, 1, 1, 1], [2, 1, 1, 1, 1]]
    # The second is right about y only, and decides V1's tie where it comes first.
    table = accuracy_table(align({"second": SECOND, "first": FIRST}))
    assert table.to_numpy().tolist() == [[1, 0.5, 0.5, 0.5, 0.5], [2, 1, 1, 0.5, 1]]


def finished(folder: Path, accuracy: float, loss: float) -> Path:
    """A run directory with settings and a result, and nothing else."""
    folder.mkdir()
    result = Result(
        min_val_loss=loss, accuracy=accuracy, macro_f1=0.5, best_epoch=1, epochs=1, auc_loss=loss,
        overfitting=None, seconds=1, train_images=9, validation_images=3, parameters=1, trainable_parameters=1,
        device="cpu", stopped="",
    )  # fmt: skip
    write_config(folder, compose_settings(), {"classes": []})
    write_result(folder, result)
    return folder


def test_runs_are_ranked_by_accuracy_then_loss_then_name(tmp_path: Path) -> None:
    figures = {"d": (0.7, 0.9), "c": (0.8, 0.6), "b": (0.8, 0.5), "a": (0.7, 0.9)}
    folders = [finished(tmp_path / name, *pair) for name, pair in figures.items()]
    assert [model[0].name for model in read_models(folders)] == ["b", "c", "a", "d"]
    assert [model[0].name for model in read_models(folders, 2)] == ["b", "c"]


def test_ranking_refuses_what_is_no_ensemble(tmp_path: Path) -> None:
    one, two = finished(tmp_path / "one", 0.5, 1), finished(tmp_path / "two", 0.6, 1)
    with pytest.raises(UserError, match="two or more runs"):
        read_models([one])
    with pytest.raises(UserError, match=r"Given twice: .*one"):
        read_models([one, two, one])
    with pytest.raises(UserError, match="--top 3: only 2 models"):
        read_models([one, two], 3)
    with pytest.raises(UserError, match="three is no run directory"):
        read_models([one, tmp_path / "three"])
