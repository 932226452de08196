"""The wheel, built without network, does in an empty folder what a checkout does."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAIN = "import sys; from kenyan13.cli import main; sys.argv[0] = 'kenyan13'; main()"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's contents, as pip would install them."""
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("setuptools is older than pyproject.toml asks for")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # of what git knows: setuptools writes build/ beside it
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if name.startswith(("kenyan13/", "conf/", "hydra_plugins/", "pyproject.toml", "README.md")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "-w", str(folder)]
    made = [sys.executable, "-m", "pip", "wheel", *flags, str(source)]
    done = subprocess.run(made, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def call(site: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `kenyan13 ARGUMENTS` of the wheel, with none of the checkout in sight."""
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    program = f"import sys; sys.path[:] = [one for one in sys.path if one != {str(ROOT)!r}]; {MAIN}"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_wheel_trains_and_predicts_in_an_empty_folder(site: Path, demo_root: Path, tmp_path: Path) -> None:
    done = call(site, tmp_path, "train", "data=demo", "model=small_cnn", "model.crop=32", "trainer=cpu", "name=mine",
                "trainer.max_epochs=1", f"data.root={demo_root}", "data.workers=0")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "mine" / "model.onnx").is_file()
    photo = next((demo_root / "images" / "images").iterdir())
    done = call(site, tmp_path, "predict", "runs/mine", str(photo), "--json")
    assert done.returncode == 0, done.stderr
    assert '"probability"' in done.stdout
    done = call(site, tmp_path, "report", "runs/mine", "-o", "report")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "index.html").is_file()
    done = call(site, tmp_path, "train", "model=resnet1")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert str(ROOT) not in done.stderr


@pytest.mark.slow
def test_the_wheel_has_the_configuration_and_the_pages(site: Path) -> None:
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    theirs = {path.relative_to(site / "kenyan13").as_posix() for path in (site / "kenyan13" / "conf").rglob("*.yaml")}
    assert ours == theirs
    data = {path.relative_to(ROOT) for path in (ROOT / "kenyan13").rglob("*") if path.is_file()}
    kept = {path for path in data if path.suffix not in (".pyc",)}
    missing = {str(path) for path in kept if not (site / path).is_file()}
    assert not missing
