"""The report on hand-made runs: its numbers, its figures, and that nothing of a run is trusted."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from browser import open_page
from hand_made import answering, certain, hand_made
from PIL import Image

from kenyan13.errors import UserError
from kenyan13.report.writing import write_report
from kenyan13.study.definitions import experiments

EVIL = ["<script>alert(1)</script>", "a\"b'c&amp;", "$x_1$ | `y`"]
STUDY = ("CAC", "CBC", "CCC")


class Page(HTMLParser):
    """Collects what a test asks of a page: ids, links, images, elements' names and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.ids += filter(None, [given.get("id")])
        self.links += filter(None, [given.get("href")])
        self.images += [given] if tag == "img" else []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def report(*places: Path, output: Path) -> Page:
    index, _, _ = write_report(places, output)
    return Page(index.read_text())


def study_runs(runs: Path) -> None:
    """Three experiments of group C on the same 100 images: 90, 80 and 50 right, and rising losses."""
    targets = [0] * 50 + [1] * 50
    for place, (id_, right) in enumerate(zip(STUDY, (90, 80, 50), strict=True)):
        answers = [target if k < right else 1 - target for k, target in enumerate(targets)]
        losses = [1.0 + place, 0.5 + place, 0.75 + place]
        hand_made(runs, [f"experiment={id_}"], [1.0, 0.5, 0.25], losses, targets, certain(answers, 0.75, 2))


def test_golden_values_of_a_group(tmp_path: Path) -> None:
    """CAC: losses 1, 0.5, 0.75 against 1, 0.5, 0.25: ratios 1, 1, 3, whose line has slope 1.

    The standard error of 90 % of 100 images is 3 points.
    """
    study_runs(tmp_path / "runs")
    page = report(tmp_path / "runs", output=tmp_path / "report")
    table = pd.read_csv(tmp_path / "report/tables/C3.csv", index_col="id")
    first = table.loc["CAC"]
    study = experiments()["CAC"].reported
    assert (first["min_loss"], first["accuracy"]) == (0.5, 90.0)
    assert first["overfitting"] == pytest.approx(1.0)
    assert (first["min_loss_study"], first["accuracy_study"]) == (study["min_val_loss"], study["accuracy"])
    assert first["accuracy_difference"] == pytest.approx(90 - study["accuracy"])
    assert table["noise"].fillna("").to_dict() == {"CAC": "", "CBC": "within", "CCC": "", "CDC": "missing"}
    assert table["accuracy"].isna().tolist() == [False, False, False, True]
    markdown = (tmp_path / "report/tables/C3.md").read_text()
    assert "| CBC | EfficientNetB4\\_PT5 | 1.500 |" in markdown
    text = " ".join(page.texts)
    assert "On the same 100 images, CAC_EfficientNetB3_PT5 is the most accurate of 3 runs (90.0%" in text
    # 90 against 80: ten only the first has right, none only the second: p = 2 / 2^10, and less for 50.
    assert "All others are less accurate beyond chance" in text
    assert "Beside the study's accuracies, 1 of 3 are within noise" in text
    overview = pd.read_csv(tmp_path / "report/tables/overview.csv")
    assert overview["accuracy"].tolist() == [90, 80, 50]
    assert overview["standard_error"].tolist() == pytest.approx([3, 4, 5])


def test_the_page_is_whole(tmp_path: Path) -> None:
    study_runs(tmp_path / "runs")
    page = report(tmp_path / "runs", output=tmp_path / "report")
    assert len(page.ids) == len(set(page.ids))
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert all((image.get("src") or "").startswith("data:image/") for image in page.images)
    assert all(image.get("alt") for image in page.images), "figures without a text"
    assert page.tags.count("h1") == 1
    assert "group-C" in page.ids
    files = {file.name for file in (tmp_path / "report/figures/group-C").iterdir()}
    assert files == {"size.png", "time.png", "accuracy_C3.png"}
    files = {file.name for file in (tmp_path / "report/figures/CAC_EfficientNetB3_PT5").iterdir()}
    assert files == {"losses.png", "confusion.png", "precision_recall.png", "reliability.png"}
    with Image.open(tmp_path / "report/figures/CAC_EfficientNetB3_PT5/losses.png") as figure:
        assert min(figure.size) > 300
        assert len(figure.convert("RGB").getcolors(100000) or []) > 20, "an empty figure"


def test_a_runs_page_has_its_measures(tmp_path: Path) -> None:
    """Nine of twelve right, all with 0.8: Wilson's interval of 9 / 12, and a calibration error of 0.05."""
    answering(tmp_path / "runs", "mine", wrong="abc", losses=(2, 1, 1.5))
    page = report(tmp_path / "runs/mine", output=tmp_path / "report")
    text = " ".join(" ".join(page.texts).split())
    assert "lowest validation loss 1.0000 in epoch 2" in text
    assert "accuracy 75.00% standard error 12.50%; 95 % interval 46.77% to 91.11% (Wilson, 12 images)" in text
    assert "expected calibration error 5.0%" in text
    assert "AUC loss 4.500" in text
    assert "a 4 66.7 50.0 0.571" not in text  # classes are a, b, c with four images each
    assert "a 4 75.0 75.0 0.750" in text  # one of a is named b, one of c is named a
    assert "optim.lr" in text
    assert "One run, or runs on different images" not in text  # there is no section for a run alone


def test_texts_of_runs_are_shown_as_texts(tmp_path: Path) -> None:
    targets = [0, 1, 2] * 4
    answers = [1, 1, 2, 0, 2, 2] * 2
    for name in ("one", "two"):
        hand_made(
            tmp_path / "runs", ["data=demo", f"name={name}"], [1.0, 1.0], [2.0, 1.0], targets, certain(answers),
            ids=[f"<img src=x onerror=alert({k})>" for k in range(12)], classes=EVIL,
        )  # fmt: skip
    page = report(tmp_path / "runs", output=tmp_path / "report")
    assert page.tags.count("script") == 1
    assert all((image.get("src") or "").startswith("data:") for image in page.images)
    for name in EVIL:
        assert name in page.texts
    assert "<img src=x onerror=alert(0)>" in page.texts
    opened = open_page(tmp_path / "report/index.html")
    assert opened.requests == ()
    # The test's own watching script is forbidden by the page's policy, as any other than the page's own is.
    assert all("Content Security Policy" in said for said in opened.console)


SORT = """
const heads = [...document.querySelectorAll("#overview thead th")];
const place = heads.findIndex(head => head.textContent.startsWith("accuracy"));
const order = () => [...document.querySelectorAll("#overview tbody tr")].map(row => row.cells[0].textContent).join(" ");
heads[place].querySelector("button").click();
const down = order() + " " + heads[place].getAttribute("aria-sort");
heads[place].querySelector("button").click();
const up = order() + " " + heads[place].getAttribute("aria-sort");
const all = [...document.querySelectorAll("article")];
const seen = () => all.filter(one => one.offsetParent).map(one => one.id).join(" ");
const before = seen();
location.hash = "#run-two";
setTimeout(() => { document.title = [down, up, before, seen(), document.activeElement.id].join("; "); }, 100);
"""


def test_sorting_and_pages_in_a_browser(tmp_path: Path) -> None:
    answering(tmp_path / "runs", "one", wrong="abcdef")
    answering(tmp_path / "runs", "two", wrong="a")
    answering(tmp_path / "runs", "three", wrong="abc")
    index, _, _ = write_report([tmp_path / "runs"], tmp_path / "report")
    policy = r'<meta http-equiv="Content-Security-Policy"[^>]*>'  # which would forbid the test's script
    index.write_text(re.sub(policy, "", index.read_text()))
    opened = open_page(index, SORT)
    assert opened.console == ()
    title = re.search("<title>(.*?)</title>", opened.dom)
    assert title is not None
    assert title[1].split("; ") == [
        "two three one descending", "one three two ascending", "overview", "run-two", "run-two-title"
    ]  # fmt: skip


def test_photographs_of_mistakes(tmp_path: Path, demo_root: Path) -> None:
    """Wrong answers are shown where the images are; an image that has gone is left out."""
    labels = pd.read_csv(demo_root / "train.csv", dtype=str)[:6]
    classes = sorted(labels["class"].unique())
    targets = [classes.index(name) for name in labels["class"]]
    answers = [(target + (k < 2)) % len(classes) for k, target in enumerate(targets)]
    given = ["data=demo", f"data.root={demo_root}", "name=shown"]
    ids = [*labels["id"][:1], "gone", *labels["id"][2:]]
    probabilities = certain(answers, 0.9, len(classes))
    hand_made(tmp_path / "runs", given, [1.0, 1.0], [2.0, 1.0], targets, probabilities, ids, classes)
    page = report(tmp_path / "runs", output=tmp_path / "report")
    photos = [image for image in page.images if (image.get("src") or "").startswith("data:image/jpeg")]
    assert len(photos) == 2  # the same one as a mistake, and of its pair of classes
    assert f"{classes[targets[0]]}, named {classes[answers[0]]} (90%)" in page.texts
    given = ["data=demo", f"data.root={tmp_path}/nowhere", "name=not_shown"]
    hand_made(tmp_path / "others", given, [1.0, 1.0], [2.0, 1.0], targets, probabilities, ids, classes)
    page = report(tmp_path / "others", output=tmp_path / "report")
    assert not [image for image in page.images if (image.get("src") or "").startswith("data:image/jpeg")]
    assert any("no longer in" in text for text in page.texts)


def test_a_learning_rate_sweep_outside_the_study(tmp_path: Path) -> None:
    for place, (rate, wrong) in enumerate(((1e-4, "abcd"), (1e-3, ""), (1e-2, "abcdef"))):
        answering(tmp_path / "runs", f"run{place}", wrong, f"optim.lr={rate}", losses=(2, 1 + place))
    page = report(tmp_path / "runs", output=tmp_path / "report")
    table = pd.read_csv(tmp_path / "report/tables/rates-1.csv")
    assert table["run"].tolist() == ["run0", "run1", "run2"]
    assert table["min_loss"].tolist() == [1, 2, 2]
    assert (tmp_path / "report/figures/rates-1/rates.png").exists()
    assert any("lowest loss 1.000 at 1.0e-04, with accuracy 66.7%" in (image.get("alt") or "") for image in page.images)
    assert {"data-1", "rates-1"} <= set(page.ids)


def test_variants_and_smoke_runs_are_kept_apart(tmp_path: Path) -> None:
    study_runs(tmp_path / "runs")
    targets = [0, 1] * 50
    right = certain(targets, 0.9, 2)
    hand_made(tmp_path / "runs", ["experiment=CAC", "seed=7"], [1.0, 1.0], [2.0, 1.0], targets, right)
    hand_made(tmp_path / "runs", ["experiment=CAC", "seed=8"], [1.0, 1.0], [2.0, 1.0], targets, right)
    page = report(tmp_path / "runs", output=tmp_path / "report")
    assert pd.read_csv(tmp_path / "report/tables/C3.csv")["accuracy"].tolist()[:3] == [90, 80, 50]
    assert pd.read_csv(tmp_path / "report/tables/C3-1.csv")["accuracy"].tolist()[0] == 100
    text = " ".join(page.texts)
    assert "(other settings or images" in (tmp_path / "report/tables/C3-1.md").read_text()
    assert "other settings" not in (tmp_path / "report/tables/C3.md").read_text()
    assert text.count("Beside the study's accuracies") == 1, "only the study's own runs are held against it"
    assert "CAC: another run of it, newer or finished, stands in the tables" in text
    assert "Group C: Model size and transfer (other settings or images, data/kenyan13)" in text
    hand_made(tmp_path / "toys/smoke", ["experiment=CAC", "debug=smoke"], [1.0, 1.0], [2.0, 1.0], targets, right)
    page = report(tmp_path / "toys/smoke", output=tmp_path / "report")
    assert any("say nothing about photographs" in text for text in page.texts)
    assert "(synthetic drawings" in (tmp_path / "report/tables/C3.md").read_text()


def test_as_accurate_runs_are_named(tmp_path: Path) -> None:
    for name, wrong in (("one", "a"), ("two", "b"), ("three", "abcdef")):
        answering(tmp_path / "runs", name, wrong)
    text = " ".join(report(tmp_path / "runs", output=tmp_path / "report").texts)
    assert "one is the most accurate of 3 runs (91.7%, 95 % interval 64.6% to 98.5%), with two as accurate." in text


def test_damaged_and_unfinished_runs_are_listed(tmp_path: Path) -> None:
    whole = answering(tmp_path / "runs", "whole")
    for name, file, text in (("config", "config.yaml", "a: ["), ("rows", "predictions.csv", "id,target\n1,2,3")):
        answering(tmp_path / "runs", name)
        (tmp_path / "runs" / name / file).write_text(text)
    (answering(tmp_path / "runs", "stopped") / "result.json").unlink()
    index, runs, _ = write_report([tmp_path / "runs"], tmp_path / "report")
    problems = {run.name: bool(run.problem) for run in runs}
    assert problems == {"config": True, "rows": True, "stopped": False, "whole": False}
    states = pd.read_csv(tmp_path / "report/tables/overview.csv", index_col="run")["state"].to_dict()
    assert states == {"config": "unreadable", "rows": "unreadable", "stopped": "interrupted", "whole": "finished"}
    assert "This run cannot be read: " in index.read_text()
    assert whole.exists()


def test_what_cannot_be_a_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        write_report([tmp_path / "runs"], tmp_path / "report")
    answering(tmp_path / "runs/smoke", "toy")
    with pytest.raises(UserError, match="holds no run directories") as error:
        write_report([tmp_path / "runs"], tmp_path / "report")
    assert "kenyan13 report" in str(error.value)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/index.html").write_text("<p>precious")
    with pytest.raises(UserError, match="is no report"):
        write_report([tmp_path / "runs/smoke"], tmp_path / "mine")
    assert (tmp_path / "mine/index.html").read_text() == "<p>precious"
    with pytest.raises(UserError, match="cannot be written"):
        write_report([tmp_path / "runs/smoke"], tmp_path / "mine/index.html/report")


def test_a_report_replaces_an_older_one(tmp_path: Path) -> None:
    answering(tmp_path / "runs", "one")
    old = answering(tmp_path / "runs", "two")
    report(tmp_path / "runs", output=tmp_path / "report")
    assert (tmp_path / "report/figures/two").is_dir()
    old.rename(tmp_path / "elsewhere")
    page = report(tmp_path / "runs", output=tmp_path / "report")
    assert not (tmp_path / "report/figures/two").exists()
    assert "run-two" not in page.ids


def test_runs_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    answering(tmp_path / "here", "one", wrong="a")
    answering(tmp_path / "there", "one", wrong="ab")
    page = report(tmp_path / "here", tmp_path / "there", output=tmp_path / "report")
    assert {"run-one", "run-one~2"} <= set(page.ids)
    assert pd.read_csv(tmp_path / "report/tables/overview.csv")["run"].tolist() == ["one", "one~2"]
