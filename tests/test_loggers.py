"""Loggers: the run directory does not depend on them; MLflow and wandb, where they are installed."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kenyan13.config.settings import Settings
from kenyan13.runs.locate import run_directory
from kenyan13.training.run import train

Compose = Callable[..., Settings]
SHORT = ("trainer.max_epochs=1", "data.subset=60")


def test_run_files_do_not_depend_on_the_logger(compose: Compose) -> None:
    made: dict[str, Path] = {}
    for logger in ("tensorboard", "none", "[csv,tensorboard]"):
        settings = compose(*SHORT, f"logger={logger}", f"name={len(made)}")
        train(settings)
        made[logger] = run_directory(settings)
    names = {"config.yaml", "metrics.csv", "predictions.csv", "result.json", "checkpoints/best.ckpt"}
    tables = []
    for folder in made.values():
        assert all((folder / name).is_file() for name in names)
        tables.append(pd.read_csv(folder / "metrics.csv").drop(columns="seconds"))
    assert all(table.equals(tables[0]) for table in tables)
    assert not list(made["none"].glob("events*"))
    both = made["[csv,tensorboard]"]
    assert list(both.glob("events*"))
    logged = pd.read_csv(both / "log" / "metrics.csv")
    assert logged["val_loss"].dropna().tolist() == pytest.approx(tables[0]["val_loss"].tolist(), rel=1e-5)


def test_mlflow_has_the_metrics_of_the_run(compose: Compose, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is an extra: pip install 'kenyan13[mlflow]'")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    settings = compose(*SHORT, "logger=mlflow", f"logger.mlflow.tracking_uri={store}", "name=logged")
    train(settings)
    (run,) = mlflow.MlflowClient(store).search_runs(["1"])
    loss = pd.read_csv(run_directory(settings) / "metrics.csv")["val_loss"].iloc[0]
    assert run.info.run_name == "logged"
    assert run.data.metrics["val_loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_wandb_offline(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is an extra: pip install 'kenyan13[wandb]'")
    monkeypatch.setenv("WANDB_SILENT", "true")
    settings = compose(*SHORT, "logger=wandb", "name=offline")
    train(settings)
    assert list((run_directory(settings) / "wandb").glob("offline-run-*"))
