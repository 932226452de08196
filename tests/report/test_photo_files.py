"""Photographs of runs: where they are found again."""

from pathlib import Path

from PIL import Image

from kenyan13.report.photos import files_by_id
from kenyan13.runs.directory import State
from kenyan13.runs.run import Run


def test_images_of_a_table_with_columns_of_its_own_are_found(tmp_path: Path) -> None:
    for name in "abcd":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    table = tmp_path / "all.csv"
    table.write_text("photo,kind,shot\n" + "".join(f"{name}.png,{'xy'[k % 2]},{k}\n" for k, name in enumerate("abcd")))
    data = {"layout": "table", "root": str(table), "columns": {"id": "photo", "label": "kind", "split": None}}
    run = Run(tmp_path, "run", State.finished, {"data": data})
    assert set(files_by_id(run).values()) == {tmp_path / f"{name}.png" for name in "abcd"}
    gone = Run(tmp_path, "run", State.finished, {"data": {**data, "root": str(tmp_path / "gone.csv")}})
    assert files_by_id(gone) == {}
