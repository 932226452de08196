"""make recipe-*: each recipe trains on anybody's data, and writes predictions of the test images."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
MAKE = ["make", "--old-file=.venv/.complete", f"BIN={Path(sys.executable).parent}"]


@pytest.mark.parametrize(
    ("variables", "parts"),
    [
        (["recipe-quick"], ["train.py model=mobilenetv2_100 recipe=quick name=quick", "--test -o 'recipe-quick.csv'"]),
        (["recipe-modern", "DATA=my birds"], ["data.layout=folder 'data.root=my birds'"]),
        (["recipe-study", "WEIGHTS=w", "MODEL=resnet18"], ["'model.weights=w/resnet18.safetensors'", "model=resnet18"]),
        (["recipe-study", "MODEL=regnety_008"], ["model.backbone=regnety_008"]),
        (["recipe-best", "WEIGHTS=w", "SUBMISSION=s.csv"], ["best --weights 'w'", "'runs/best' --test -o 's.csv'"]),
        (["recipes"], ["recipe=study", "recipe=quick", "recipe=modern", "compare 'runs/study' 'runs/quick'"]),
    ],
)  # fmt: skip
def test_what_make_would_run(variables: list[str], parts: list[str]) -> None:
    done = subprocess.run([*MAKE, "--dry-run", *variables], cwd=ROOT, capture_output=True, text=True, check=True)
    for part in parts:
        assert part in done.stdout


def test_the_layout_follows_the_data(demo_root: Path) -> None:
    make = [*MAKE, "--dry-run", "recipe-quick", f"DATA={demo_root}"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "data.layout=competition" in done.stdout


@pytest.mark.slow
def test_all_recipes_train_and_predict(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    arguments = (
        f"'data.cache={cache}' model.pretrained=false model.crop=32 model.batch_size=16 trainer=cpu data.workers=0 "
        "trainer.max_epochs=1 optim.lr=1e-3 data.folds=2 logger=none"
    )
    variables = [f"DATA={demo_root}", f"RUNS={tmp_path}", f"ARGS={arguments}", f"SUBMISSION={tmp_path}/$@.csv"]
    for recipe in ("study", "quick", "modern"):
        make = [*MAKE, f"recipe-{recipe}", "MODEL=test_resnet", *variables]
        done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        submission = pd.read_csv(tmp_path / f"recipe-{recipe}.csv", dtype=str)
        assert submission["id"].tolist() == pd.read_csv(demo_root / "test.csv", dtype=str)["id"].tolist()
