"""Runs chosen, put together and kept as a run: a directory that holds all that predicting needs. Imports no torch."""

import filecmp
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from kenyan13.analysis.ensemble import align
from kenyan13.data.catalogue import FIRST
from kenyan13.errors import UserError, shorten
from kenyan13.metrics.classification import fit_temperature, scale
from kenyan13.runs.config_file import read_config, read_settings, write_config
from kenyan13.runs.directory import BEST, CONFIG, MEMBERS, RESULT, VALIDATION
from kenyan13.runs.predictions import classes_of, labelled, probabilities_of, scores, targets_of, write_predictions
from kenyan13.runs.result import Result, write_result
from kenyan13.runs.run import Run, read_all


def select_by_others(tables: Mapping[str, pd.DataFrame], folds: Sequence[pd.Index]) -> pd.DataFrame:
    """Return what `select` would predict of each fold's images, ids, had it chosen models by the other folds alone.

    This tells how good such a choice is: the images that models are chosen by flatter them.
    """
    parts = []
    for ids in folds:
        chosen, _ = select({name: table.drop(ids) for name, table in tables.items()})
        parts.append(align({name: tables[name].loc[ids] for name in chosen}).mean())
    return pd.concat(parts)


def select(tables: Mapping[str, pd.DataFrame]) -> tuple[list[str], pd.DataFrame]:
    """Return the names of the models to average, the best first, and their mean predictions.

    The model with the fewest errors is first; then comes the one, again and again, with which the mean makes the
    fewest, until none is better. Where errors are as many, the lower log loss decides, after a temperature, as runs put
    together predict with one. Source: Caruana et al., Ensemble Selection from Libraries of Models (ICML 2004), without
    its repetitions. tables: predictions by name, of the same images. Raises UserError for others.
    """
    aligned = align(tables)
    probabilities = dict(zip(tables, aligned.probabilities, strict=True))
    known = aligned.targets >= 0

    def badness(mean: NDArray[np.float64]) -> tuple[int, float]:
        targets = aligned.targets[known]
        scaled = scale(mean[known], fit_temperature(mean[known], targets))
        errors = int(np.count_nonzero(scaled.argmax(axis=1) != targets))
        return errors, float(log_loss(targets, scaled, labels=range(len(aligned.classes))))

    chosen: list[str] = []
    lowest, best = (len(known) + 1, np.inf), aligned.probabilities[0]
    while rest := [name for name in tables if name not in chosen]:
        means = {name: sum(probabilities[one] for one in (*chosen, name)) / (len(chosen) + 1) for name in rest}
        found = {name: badness(mean) for name, mean in means.items()}
        name = min(found, key=found.__getitem__)
        if found[name] >= lowest:
            break
        chosen, lowest, best = [*chosen, name], found[name], means[name]
    return chosen, aligned.table(best)


def save_runs(name: str, runs: Sequence[Run], table: pd.DataFrame) -> Path:
    """Write the run directory of runs put together, with copies of their networks, and return it.

    name: of the run, beside the first of the runs, or a path with a /. table: their predictions of the validation
    images. A directory of the same runs is left as it is. Raises UserError where something else is there, and for a run
    that is not finished or has no network.
    """
    runs = sorted(runs, key=lambda run: run.setting("data.stage") != FIRST)  # whose data and settings stand for all
    place = Path(name) if "/" in name else runs[0].folder.parent / name
    names = [run.name for run in read_all([run.folder for run in runs])]
    files = {Path(MEMBERS, own, file): run.folder / file
             for own, run in zip(names, runs, strict=True) for file in files_to_predict(run)}  # fmt: skip
    if place.is_file() or (place.is_dir() and any(place.iterdir())):
        there = all((place / to).is_file() and filecmp.cmp(place / to, own, shallow=False) for to, own in files.items())
        if there and (place / CONFIG).is_file() and read_config(place)["members"] == names:
            return place
        raise UserError(f"{place} is there already, and is not the same.", f"another name, or remove {place}")
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for to, source in files.items():
            (partial / to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partial / to)
        table = table.astype(dict.fromkeys(classes_of(table), np.float32))  # as they are read again
        write_predictions(partial / VALIDATION, table)
        write_result(partial, summarise(runs, labelled(table)))
        settings = read_settings(runs[0].folder)
        settings.name, settings.experiment = place.name, None
        for key in ("fold", "stage"):
            if len({run.setting(f"data.{key}") for run in runs}) > 1:
                setattr(settings.data, key, None)
        write_config(partial, settings, describe(runs, table), names)
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


def files_to_predict(run: Run) -> list[Path]:
    """Return the files of a run directory that predicting needs. Raises UserError where they are not all there."""
    wanted, members = (CONFIG, RESULT, str(BEST)), run.folder / MEMBERS
    found = [file for name in wanted for file in (run.folder / name, *sorted(members.rglob(name))) if file.is_file()]
    if lacking := [name for name in wanted if not any(file.match(name) for file in found)]:
        step = "give runs that were trained to the end, with trainer.enable_checkpointing=true"
        raise UserError(f"{run.folder} has no {shorten(lacking)}: it cannot predict.", step)
    return [file.relative_to(run.folder) for file in found]


def describe(runs: Sequence[Run], table: pd.DataFrame) -> dict[str, Any]:
    """Return what config.yaml records of the data: of stages, the images of the first; of folds, those of all."""
    described: dict[str, Any] = {"classes": list(classes_of(table))}
    of_stage = [run.data for run in runs if run.setting("data.stage") == runs[0].setting("data.stage")]
    for part in ("train", "validation"):
        parts = sorted({json.dumps(data.get(part), sort_keys=True) for data in of_stage})
        digest = hashlib.blake2b("".join(parts).encode(), digest_size=8).hexdigest()
        described[part] = json.loads(parts[0]) if len(parts) == 1 else {"images": len(table), "digest": digest}
    return described


def summarise(runs: Sequence[Run], known: pd.DataFrame) -> Result:
    """Return the result of runs together, from their predictions of images that have a target."""
    found, results = scores(known), [run.result for run in runs if run.result]
    return Result(
        min_val_loss=found["loss"], accuracy=found["accuracy"], macro_f1=found["macro_f1"], device=results[0].device,
        train_images=max(result.train_images for result in results), validation_images=len(known),
        parameters=sum(result.parameters for result in results),
        trainable_parameters=sum(result.trainable_parameters for result in results),
        seconds=round(sum(result.seconds for result in results), 1), stopped=f"put together from {len(runs)} runs",
        temperature=fit_temperature(probabilities_of(known), targets_of(known)),
    )  # fmt: skip
