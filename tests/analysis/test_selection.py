"""Which models are averaged: hand calculation on three models of four images."""

import numpy as np
import pandas as pd
import pytest

from kenyan13.analysis.saving import select, select_by_others
from kenyan13.runs.predictions import prediction_table, probabilities_of


def table(rights: list[float]) -> pd.DataFrame:
    """Return predictions of two classes: the probability of each image's target, which is class a."""
    rows = np.array([[right, 1 - right] for right in rights])
    return prediction_table([str(k) for k in range(len(rights))], ("a", "b"), rows, ["a"] * len(rights))


def test_models_are_added_while_the_mean_gets_better() -> None:
    """One and two make up for each other's mistakes; three adds nothing to them, though its loss is below two's."""
    tables = {"three": table([0.49] * 4), "two": table([0.25, 0.25, 0.9, 0.9]), "one": table([0.9, 0.9, 0.3, 0.3])}
    losses = {name: -np.log(probabilities_of(one)[:, 0]).mean() for name, one in tables.items()}
    assert losses["one"] < losses["three"] < losses["two"]
    chosen, mean = select(tables)
    assert chosen == ["one", "two"]
    assert probabilities_of(mean)[:, 0] == pytest.approx([0.575, 0.575, 0.6, 0.6])


def test_the_choice_is_judged_on_images_that_had_no_part_in_it() -> None:
    """On the first two images `left` is better, on the others `right`: each fold gets what is worse there."""
    left, right = [0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9]
    tables = {"left": table(left), "right": table(right)}
    found = select_by_others(tables, [pd.Index(["0", "1"]), pd.Index(["2", "3"])])
    assert [*found.index] == ["0", "1", "2", "3"]
    assert probabilities_of(found)[:, 0] == pytest.approx([0.1, 0.2, 0.2, 0.1])
    assert sorted(select(tables)[0]) == ["left", "right"]


def test_one_model_alone_may_be_best() -> None:
    chosen, mean = select({"poor": table([0.1, 0.2]), "good": table([0.9, 0.9])})
    assert chosen == ["good"]
    assert probabilities_of(mean)[:, 0] == pytest.approx([0.9, 0.9])


def test_being_unsure_is_no_fault_as_a_temperature_mends_it() -> None:
    """Both are right on four of five; a temperature of 0.145 makes 0.8 of 0.55, a log loss of 0.5004."""
    tables = {"sure": table([0.9, 0.9, 0.51, 0.51, 0.35]), "unsure": table([0.55, 0.55, 0.55, 0.55, 0.45])}
    losses = {name: -np.log(probabilities_of(one)[:, 0]).mean() for name, one in tables.items()}
    assert losses["sure"] < losses["unsure"]
    assert select(tables)[0] == ["unsure"]


def test_errors_count_before_log_loss() -> None:
    tables = {"surer": table([0.99, 0.99, 0.99, 0.4]), "right": table([0.55] * 4)}
    assert select(tables)[0] == ["right"]
