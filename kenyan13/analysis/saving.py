"""Runs put together and kept as a run: a run directory that holds all that predicting needs. Imports no torch."""

import filecmp
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kenyan13.errors import UserError, shorten
from kenyan13.metrics.classification import scores
from kenyan13.runs.config_file import read_config, read_settings, write_config
from kenyan13.runs.directory import BEST, CONFIG, MEMBERS, RESULT, VALIDATION
from kenyan13.runs.predictions import classes_of, labelled, probabilities_of, targets_of, write_predictions
from kenyan13.runs.result import Result, write_result
from kenyan13.runs.run import Run, unique_names


def save_runs(name: str, runs: Sequence[Run], table: pd.DataFrame) -> Path:
    """Write the run directory of runs put together, with copies of their networks, and return it.

    name: of the run, beside the first of the runs, or a path with a /. runs: those of one model each or its folds; of
    two stages, the first stage first. table: their predictions of the validation images together. A directory that
    holds the same already is left as it is. Raises UserError where something else is there, and for a run that is not
    finished or has no network.
    """
    place = Path(name) if "/" in name else runs[0].folder.parent / name
    names = unique_names([run.folder for run in runs])
    files = {Path(MEMBERS, own, file): run.folder / file
             for own, run in zip(names, runs, strict=True) for file in files_to_predict(run)}  # fmt: skip
    if place.is_file() or (place.is_dir() and any(place.iterdir())):
        if (place / CONFIG).is_file() and read_config(place)["members"] == names and same_files(place, files):
            return place
        raise UserError(f"{place} is there already, and is not the same.", f"another name, or remove {place}")
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for file, source in files.items():
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partial / file)
        table = table.astype(dict.fromkeys(classes_of(table), np.float32))  # as they can be read again
        write_predictions(partial / VALIDATION, table)
        write_result(partial, summarise(runs, labelled(table)))
        first = read_settings(runs[0].folder)
        data = replace(first.data, fold=common(runs, "data.fold"), stage=common(runs, "data.stage"))
        described = describe(runs, table)
        write_config(partial, replace(first, data=data, name=place.name, experiment=None), described, names)
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


def same_files(place: Path, files: Mapping[Path, Path]) -> bool:
    """Return whether a folder has files (their place in it -> where they come from) with the same contents."""
    return all((place / to).is_file() and filecmp.cmp(place / to, one, shallow=False) for to, one in files.items())


def common(runs: Sequence[Run], key: str) -> Any:
    """Return the setting that all runs have; None where it is not the same."""
    values = [run.setting(key) for run in runs]
    return values[0] if all(value == values[0] for value in values) else None


def describe(runs: Sequence[Run], table: pd.DataFrame) -> dict[str, Any]:
    """Return what config.yaml records of the data: of stages, the images of the first; of folds, those of all."""
    images = {"train": max(run.result.train_images for run in runs if run.result), "validation": len(table)}
    described: dict[str, Any] = {"classes": list(classes_of(table))}
    for part, number in images.items():
        parts = [run.data.get(part) for run in runs if run.setting("data.stage") == runs[0].setting("data.stage")]
        digests = sorted({str(one.get("digest")) for one in parts if isinstance(one, Mapping)})
        of_all = hashlib.blake2b(" ".join(digests).encode(), digest_size=8).hexdigest()
        described[part] = {"images": number, "digest": digests[0] if len(digests) == 1 else of_all}
    return described


def summarise(runs: Sequence[Run], known: pd.DataFrame) -> Result:
    """Return the result of runs together, from their predictions of the images that have a label.

    Raises UserError when there is none.
    """
    if known.empty:
        raise UserError("None of the validation images has a label.", "combine runs of labelled images")
    found, results = scores(targets_of(known), probabilities_of(known)), [run.result for run in runs if run.result]
    return Result(
        min_val_loss=found["loss"],
        accuracy=found["accuracy"],
        macro_f1=found["macro_f1"],
        seconds=round(sum(result.seconds for result in results), 1),
        train_images=max(result.train_images for result in results),
        validation_images=len(known),
        parameters=sum(result.parameters for result in results),
        trainable_parameters=sum(result.trainable_parameters for result in results),
        device=results[0].device,
        stopped=f"put together from {len(runs)} runs: {shorten([run.folder.name for run in runs], 3)}",
    )
