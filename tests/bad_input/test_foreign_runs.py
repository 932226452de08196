"""Run directories of others: read as data, never run, and bounded."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hand_made import answering

from kenyan13.runs.run import read_run

Command = Callable[..., subprocess.CompletedProcess[str]]


CONFIGS = {
    "aliases": "settings: &a [x, x]\ndata: {classes: [*a, *a]}\n",
    "bomb": "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nsettings: {}\ndata: {classes: *c}\n",
    "deep": f"settings: {'[' * 5000}",
    "large": f"settings: {{}}\ndata: {{classes: [{'x, ' * 2_000_000}x]}}\n",
    "object": "settings: !!python/object/apply:os.getcwd []\ndata: {}\n",
}


@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("verb", ["runs", "evaluate", "predict", "compare", "report"])
def test_a_foreign_config_neither_hangs_nor_runs(tmp_path: Path, kenyan13: Command, text: str, verb: str) -> None:
    folder = answering(tmp_path / "runs", "one")
    (folder / "config.yaml").write_text(text)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"is looked at last")
    given = {"predict": [str(folder), str(photo)], "compare": [str(folder), str(answering(tmp_path / "runs", "two"))],
             "report": [str(folder), "--output", str(tmp_path / "report")]}.get(verb, [str(folder)])  # fmt: skip
    done = kenyan13(verb, *given)
    assert "config.yaml is damaged" in done.stdout + done.stderr or verb == "report"
    assert done.returncode == (0 if verb == "runs" else 2) or verb == "report"
    assert "Traceback" not in done.stderr


def test_a_foreign_run_directory_reads_no_environment_and_makes_no_folders(
    run: Callable[[str], Path], kenyan13: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKEN", "se" + "cret")
    monkeypatch.chdir(tmp_path)
    folder = run("finished")
    file = folder / "config.yaml"
    lines = file.read_text().splitlines()
    changed = {
        "    root:": "    root: ${oc.env:TOKEN}",
        "    cache:": f"    cache: {tmp_path}/elsewhere/${{oc.env:TOKEN}}",
    }
    lines = [next((new for old, new in changed.items() if line.startswith(old)), line) for line in lines]
    file.write_text("\n".join(lines) + "\n")
    for verb in (["evaluate"], ["predict", "--test"], ["runs"], ["compare"], ["report"]):
        done = kenyan13(verb[0], str(folder), *verb[1:])
        assert "secret" not in done.stdout + done.stderr
    assert not (tmp_path / "elsewhere").exists()
    assert "secret" not in str(read_run(folder).settings)


def test_evaluating_draws_no_images(
    run: Callable[[str], Path], kenyan13: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = run("finished")
    text = (folder / "config.yaml").read_text().replace("layout: competition", "layout: demo")
    lines = [f"    root: {tmp_path}/drawn" if line.startswith("    root:") else line for line in text.splitlines()]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    assert kenyan13("evaluate", str(folder)).returncode == 2
    assert not (tmp_path / "drawn").exists()
