"""The model card: the hub can read it, its figures are right, and it tells nothing of people or places."""

import re
from pathlib import Path

import pytest
from hand_made import answering
from huggingface_hub import ModelCard
from test_commands import Command, assert_one_screen

from kenyan13.errors import UserError
from kenyan13.metrics.classification import wilson
from kenyan13.report.writing import write_card

IDS = "abcdefghijkl"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return answering(tmp_path / "runs", "mine", "bk")


def test_the_hub_reads_the_card(run: Path, tmp_path: Path) -> None:
    card = ModelCard.load(write_card(run, tmp_path / "new" / "README.md"))
    (accuracy, f1) = card.data.eval_results
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", pytest.approx(10 / 12, abs=1e-4))
    assert (f1.metric_type, accuracy.task_type) == ("f1", "image-classification")
    assert (card.data.library_name, card.data.pipeline_tag) == ("timm", "image-classification")
    low, high = wilson(10 / 12, 12)
    assert f"Accuracy 83.3 % (95 % interval {100 * low:.1f} to {100 * high:.1f}, Wilson)" in card.text
    assert "fine-tuned with kenyan13 on 48 images" in card.text
    tables = re.findall(r"^\|.*\|$", card.text, flags=re.MULTILINE)
    assert len({line.count("|") for line in tables[:4]}) == 1


def test_the_card_tells_nothing_of_images_or_places(run: Path, tmp_path: Path) -> None:
    text = write_card(run, tmp_path / "README.md").read_text()
    assert str(tmp_path) not in text
    assert "![" not in text
    assert "<img" not in text
    assert not re.search(r"\bGPS|latitude", text)
    for line in (run / "predictions.csv").read_text().splitlines()[1:]:
        assert line.split(",")[0] in IDS  # letters: each alone in no cell of the card
    cells = {cell.strip() for line in text.splitlines() if line.startswith("|") for cell in line.split("|")}
    assert not cells & set(IDS[3:])  # a, b and c are classes as well


def test_class_names_cannot_break_the_tables(tmp_path: Path) -> None:
    from hand_made import certain, hand_made

    names = ["a|b", "<script>", "c`d"]
    run = hand_made(tmp_path / "runs", ["data=demo", "name=odd"], [1.0], [1.0], [0, 1, 2, 0], certain([0, 1, 0, 1]),
                    classes=names)  # fmt: skip
    text = write_card(run, tmp_path / "README.md").read_text()
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(re.sub(r"\\\|", "", line).endswith("|") for line in tables)
    counts = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    assert counts[0] == counts[1] == counts[2]
    assert "<script>" not in "".join(tables)


def test_the_command_writes_into_the_run(run: Path, kenyan13: Command, tmp_path: Path) -> None:
    done = kenyan13("card", str(run))
    assert done.returncode == 0, done.stderr
    assert (run / "README.md").is_file()
    assert kenyan13("card", str(run), "-o", str(tmp_path / "CARD.md")).returncode == 0
    assert (tmp_path / "CARD.md").read_text() == (run / "README.md").read_text()
    (run / "result.json").unlink()
    assert_one_screen(kenyan13("card", str(run)), "has not finished")
    with pytest.raises(UserError, match="has not finished"):
        write_card(run, tmp_path / "no.md")
    assert not (tmp_path / "no.md").exists()
