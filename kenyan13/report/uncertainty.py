"""Tables of what a run does not know: sets of classes that hold the right one, and images of no class."""

import pandas as pd

from kenyan13.export.session import GRAPH, Graph
from kenyan13.metrics.uncertainty import cross_coverage
from kenyan13.report.tables import Column, Table
from kenyan13.runs.predictions import classes_of, probabilities_of, targets_of
from kenyan13.runs.run import Run


def unknown_tables(run: Run, known: pd.DataFrame) -> list[Table]:
    """Return how well sets of classes hold the right one, and how well images of no class are noticed."""
    columns = [
        Column("asked", "asked for %", 0),
        Column("held", "hold the right class %", 1),
        Column("size", "classes", 2),
    ]
    sets = Table("", "Sets of classes", columns, notes=["Thresholds are fitted to other images than they are used on."])
    for coverage in (0.8, 0.9, 0.95):
        held, size = cross_coverage(probabilities_of(known), targets_of(known), coverage)
        sets.add(100 * coverage, 100 * held, size)
    if not (run.folder / GRAPH).is_file():
        return [sets]
    left_out = Table("", "Images of no class", [Column("class", "class left out"), Column("auroc", "AUROC", 2)])
    for place, auroc in Graph(run.folder / GRAPH).meta.get("left_out", {}).items():
        left_out.add(classes_of(known)[int(place)], auroc)
    left_out.notes = [
        "How well a class's images are told from the others by a linear classifier that knows nothing of the class; "
        "0.5 is chance. The features are of the network that was trained on all."
    ]
    return [sets, left_out] if left_out.rows else [sets]
