"""The report on hand-made runs: its numbers, its plots, and that nothing of a run is trusted."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from browser import open_page
from hand_made import answering, certain, hand_made
from PIL import Image

from kenyan13.report.writing import write_report

EVIL = ["<script>alert(1)</script>", "a\"b'c&amp;", "$x_1$ | `y`"]


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


def test_the_page_is_whole(tmp_path: Path) -> None:
    for name, wrong in (("one", "a"), ("two", "ab"), ("small", "abc")):
        answering(tmp_path / "runs", name, wrong, ids="abcdefghijkl"[: 6 if name == "small" else 12])
    page = report(tmp_path / "runs", output=tmp_path / "report")
    assert len(page.ids) == len(set(page.ids))
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert all((image.get("src") or "").startswith("data:image/") for image in page.images)
    assert all(image.get("alt") for image in page.images), "plots without a text"
    assert page.tags.count("h1") == 1
    names = {"accuracy", "losses", "confusion", "precision_recall", "reliability"}
    files = {file.name for file in (tmp_path / "report/plots/one").iterdir()}
    assert files == {f"{name}.{ending}" for name in names for ending in ("svg", "png")}
    with Image.open(tmp_path / "report/plots/one/losses.png") as figure:
        assert min(figure.size) > 300
        assert len(figure.convert("RGB").getcolors(100000) or []) > 20, "an empty plot"


def test_runs_of_other_images_have_tables_of_their_own_photographs_first(tmp_path: Path) -> None:
    """Two runs of twelve drawings, and one of six photographs, which is less accurate and stands first."""
    for name, wrong in (("one", "a"), ("two", "ab")):
        answering(tmp_path / "runs", name, wrong)
    targets, predicted = [0, 1] * 3, [0, 1, 0, 0, 1, 0]
    hand_made(tmp_path / "runs", ["name=photos"], [1.0, 0.5], [1.0, 0.75], targets, certain(predicted, 0.9, 2))
    page = report(tmp_path / "runs", output=tmp_path / "report")
    first, second = (pd.read_csv(tmp_path / f"report/tables/{name}.csv") for name in ("overview", "overview-1"))
    assert first["run"].tolist() == ["photos"]
    assert second["run"].tolist() == ["one", "two"]
    assert second["accuracy"].tolist() == pytest.approx([1100 / 12, 1000 / 12])
    assert second["minutes"].tolist() == pytest.approx([5 / 60] * 2)
    text = " ".join(page.texts)
    assert "photos names 3 of 6 validation images of 2 classes, data/kenyan13 rightly: 50.0%" in text
    assert "Accuracy: 12 synthetic drawings of 3 classes, data/demo" in text
    assert "Accuracy: 6 validation images" not in text  # one run is no comparison


def test_a_runs_page_has_its_metrics(tmp_path: Path) -> None:
    """Nine of twelve right, all with 0.8: Wilson's interval of 9 / 12, and a calibration error of 0.05."""
    answering(tmp_path / "runs", "mine", wrong="abc", losses=(2, 1, 1.5))
    page = report(tmp_path / "runs/mine", output=tmp_path / "report")
    text = " ".join(" ".join(page.texts).split())
    assert "validation loss 1.0000 in epoch 2" in text
    assert "accuracy 75.00% standard error 12.50%; 95 % interval 46.77% to 91.11% (Wilson, 12 images)" in text
    assert "expected calibration error 5.0%" in text
    assert "AUC loss 4.50 sum of the validation losses" in text
    assert "a 4 66.7 50.0 0.571" not in text  # classes are a, b, c with four images each
    assert "a 4 75.0 75.0 0.750" in text  # one of a is named b, one of c is named a
    assert "optim.lr" in text
    assert "mine names 9 of 12 synthetic drawings of 3 classes, data/demo rightly: 75.0%" in text  # the overview
    assert "macro F1 0.750. The largest class has 33.3% of them." in text
    assert "From 75.0% in the first to 75.0% in the last of 3 epochs." in text


def test_texts_of_runs_are_shown_as_texts(tmp_path: Path) -> None:
    targets = [0, 1, 2] * 4
    predicted = [1, 1, 2, 0, 2, 2] * 2
    for name in ("one", "two"):
        hand_made(
            tmp_path / "runs", ["data=demo", f"name={name}"], [1.0, 1.0], [2.0, 1.0], targets, certain(predicted),
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


SCRIPT = """
const heads = [...document.querySelectorAll("#overview thead th")];
const column = heads.findIndex(head => head.textContent.startsWith("accuracy"));
const order = () => [...document.querySelectorAll("#overview tbody tr")].map(row => row.cells[0].textContent).join(" ");
heads[column].querySelector("button").click();
const down = order() + " " + heads[column].getAttribute("aria-sort");
heads[column].querySelector("button").click();
const up = order() + " " + heads[column].getAttribute("aria-sort");
const all = [...document.querySelectorAll("article")];
const seen = () => all.filter(one => one.offsetParent).map(one => one.id).join(" ");
const before = seen();
document.querySelector("#overview .enlarge").click();
const enlarged = document.querySelector("dialog[open] img").alt;
document.querySelector("dialog button").click();
location.hash = "#run-two";
setTimeout(() => {
  const after = [seen(), document.activeElement.id, document.querySelectorAll("dialog[open]").length];
  document.documentElement.style.width = "400px"; // all pages, as wide as a phone
  all.forEach(one => { one.style.display = "block"; });
  const wide = [...document.querySelectorAll("body *")].filter(one =>
    !one.closest(".scroll, dialog, .unseen, details:not([open])") && one.getBoundingClientRect().right > 401);
  const loose = [...document.querySelectorAll(".scroll")].filter(one => one.getBoundingClientRect().right > 401);
  document.title = [down, up, before, enlarged, ...after, wide.length, loose.length].join(" | ");
}, 100);
"""


def test_sorting_pages_enlarged_images_and_a_phones_width_in_a_browser(tmp_path: Path) -> None:
    answering(tmp_path / "runs", "one", wrong="abcdef")
    answering(tmp_path / "runs", "two", wrong="a")
    answering(tmp_path / "runs", "three_" + 12 * "long", wrong="abc")
    index, _, _ = write_report([tmp_path / "runs"], tmp_path / "report")
    policy = r'<meta http-equiv="Content-Security-Policy"[^>]*>'  # which would forbid the test's script
    index.write_text(re.sub(policy, "", index.read_text()))
    opened = open_page(index, SCRIPT)
    assert opened.console == ()
    title = re.search("<title>(.*?)</title>", opened.dom)
    assert title is not None
    down, up, before, enlarged, *after = title[1].split(" | ")
    assert (down.split()[0], down.split()[-2:]) == ("two", ["one", "descending"])
    assert (up.split()[0], up.split()[-2:]) == ("one", ["two", "ascending"])
    assert (before, enlarged.split(":")[0]) == ("overview", "Accuracy")
    assert after[:3] == ["run-two", "run-two-title", "0"]
    assert after[3:] == ["0", "0"], "what is wider than a phone scrolls in its own box"


def test_photographs_of_mistakes(tmp_path: Path, demo_root: Path) -> None:
    """Wrong predicted are shown where the images are; an image that has gone is left out."""
    labels = pd.read_csv(demo_root / "train.csv", dtype=str)[:6]
    classes = sorted(labels["class"].unique())
    targets = [classes.index(name) for name in labels["class"]]
    predicted = [(target + (k < 2)) % len(classes) for k, target in enumerate(targets)]
    given = ["data=demo", f"data.root={demo_root}", "name=shown"]
    ids = [*labels["id"][:1], "gone", *labels["id"][2:]]
    probabilities = certain(predicted, 0.9, len(classes))
    hand_made(tmp_path / "runs", given, [1.0, 1.0], [2.0, 1.0], targets, probabilities, ids, classes)
    page = report(tmp_path / "runs", output=tmp_path / "report")
    photos = [image for image in page.images if (image.get("src") or "").startswith("data:image/jpeg")]
    assert len(photos) == 2  # the same one as a mistake, and of its pair of classes
    assert f"{classes[targets[0]]}, named {classes[predicted[0]]} (90%)" in page.texts
    given = ["data=demo", f"data.root={tmp_path}/nowhere", "name=not_shown"]
    hand_made(tmp_path / "others", given, [1.0, 1.0], [2.0, 1.0], targets, probabilities, ids, classes)
    page = report(tmp_path / "others", output=tmp_path / "report")
    assert not [image for image in page.images if (image.get("src") or "").startswith("data:image/jpeg")]
    assert any("no longer in" in text for text in page.texts)


def test_a_sweep_of_the_learning_rate(tmp_path: Path) -> None:
    for place, (rate, wrong) in enumerate(((1e-4, "abcd"), (1e-3, ""), (1e-2, "abcdef"))):
        answering(tmp_path / "runs", f"run{place}", wrong, f"optim.lr={rate}", losses=(2, 1 + place))
    page = report(tmp_path / "runs", output=tmp_path / "report")
    table = pd.read_csv(tmp_path / "report/tables/sweep-1.csv")
    assert table["run"].tolist() == ["run0", "run1", "run2"]
    assert table["optim.lr"].tolist() == [1e-4, 1e-3, 1e-2]
    assert table["min_val_loss"].tolist() == [1, 2, 2]
    assert (tmp_path / "report/plots/sweep-1/sweep.svg").exists()
    assert any("lowest loss 1.000 at 0.0001, with accuracy 66.7%" in (image.get("alt") or "") for image in page.images)
    assert "sweep-1" in page.ids


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
    assert pd.read_csv(tmp_path / "report/tables/overview.csv")["run"].tolist() == ["whole"]
    states = pd.read_csv(tmp_path / "report/tables/overview-1.csv", index_col="run")["state"].to_dict()
    assert states == {"config": "unreadable", "rows": "unreadable", "stopped": "interrupted"}
    assert "This run cannot be read: " in index.read_text()
    assert whole.exists()


def test_a_report_replaces_an_older_one(tmp_path: Path) -> None:
    answering(tmp_path / "runs", "one")
    old = answering(tmp_path / "runs", "two")
    report(tmp_path / "runs", output=tmp_path / "report")
    kept = tmp_path / "report/plots/one/losses.svg"
    written = kept.stat().st_mtime_ns
    assert (tmp_path / "report/plots/two").is_dir()
    old.rename(tmp_path / "elsewhere")
    page = report(tmp_path / "runs", output=tmp_path / "report")
    assert not (tmp_path / "report/plots/two").exists()
    assert kept.stat().st_mtime_ns == written, "plots of unchanged runs are not drawn again"
    assert "run-two" not in page.ids


def test_runs_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    answering(tmp_path / "here", "one", wrong="a")
    answering(tmp_path / "there", "one", wrong="ab")
    page = report(tmp_path / "here", tmp_path / "there", output=tmp_path / "report")
    assert {"run-one", "run-one~2"} <= set(page.ids)
    assert pd.read_csv(tmp_path / "report/tables/overview.csv")["run"].tolist() == ["one", "one~2"]
