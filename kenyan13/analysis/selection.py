"""Which models to average: chosen one by one on predictions of images that they were not trained on."""

from collections.abc import Mapping

import pandas as pd

from kenyan13.analysis.alignment import ANOTHER_SPLIT, align
from kenyan13.runs.predictions import labelled, scores


def select(tables: Mapping[str, pd.DataFrame]) -> tuple[list[str], pd.DataFrame]:
    """Return the names of the models to average, the best first, and their mean predictions.

    The model with the lowest log loss is first; then comes the one, again and again, with which the mean has the lowest
    loss, until none lowers it. Source: Caruana et al., Ensemble Selection from Libraries of Models (ICML 2004), without
    its repetitions. tables: predictions by name, of the same images. Raises UserError for others.
    """
    aligned = align(dict(tables), ANOTHER_SPLIT)
    probabilities = dict(zip(tables, aligned.probabilities, strict=True))
    chosen: list[str] = []
    best: tuple[float, pd.DataFrame] | None = None
    while rest := [name for name in tables if name not in chosen]:
        means = [aligned.table(sum(probabilities[one] for one in (*chosen, name)) / (len(chosen) + 1)) for name in rest]
        losses = [scores(labelled(mean))["loss"] for mean in means]
        lowest = losses.index(min(losses))
        if best is not None and losses[lowest] >= best[0]:
            break
        chosen, best = [*chosen, rest[lowest]], (losses[lowest], means[lowest])
    assert best is not None
    return chosen, best[1]
