"""The data check: a clean set is clean, each planted fault is found, and nothing else."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pandas as pd
import pytest
from damages import DAMAGES, Damage
from PIL import Image, ImageFilter

from kenyan13.config.settings import Settings
from kenyan13.data.catalogue import read
from kenyan13.data.check import NO_HASH, groups_of_same, look_at, perceptual_hash, shortcuts
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import decode
from kenyan13.data.split import split
from kenyan13.errors import UserError

Compose = Callable[..., Settings]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(demo_root: Path, tmp_path: Path) -> Path:
    """Twelve of the demo's images of each of two classes, in folders train, val and test."""
    table = pd.read_csv(demo_root / "train.csv", dtype=str)
    for name in ("chapati", "nyamachoma"):
        for number, id_ in enumerate(table["id"][table["class"] == name][:12]):
            part = "val" if number < 3 else "train"
            target = tmp_path / "data" / part / name / f"{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(demo_root / "images" / "images" / f"{id_}.jpg", target)
    return tmp_path / "data"


def first(folder: Path, name: str = "chapati") -> Path:
    return sorted((folder / "train" / name).iterdir())[0]


def change(path: Path, make: Callable[[Image.Image], Image.Image], **options: Any) -> None:
    image = make(decode(path))
    image.save(path, "JPEG", quality=92, **options)


def saved_again(path: Path, target: Path) -> None:
    """Save an image smaller and with another quality: no byte is the same."""
    image = decode(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(target, "JPEG", quality=60)


def with_gps(path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (1.0, 17.0, 0.0)
    exif[0x013B] = "Wanjiku"
    change(path, lambda image: image, exif=exif)


def overexposed(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image.crop((0, 0, 40, 40)), (50, 50))
    return white


def noise(image: Image.Image, low: int, high: int) -> Image.Image:
    draw = np.random.default_rng(0).integers(low, high, (image.height, image.width, 3), dtype=np.uint8)
    return Image.fromarray(draw)


# kind of the finding -> what is done to a folder, and what its line says
PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "equal": (lambda d: shutil.copy(first(d), d / "train/chapati/copy.jpg"), "that are equal to another: 2"),
    "nearly equal": (lambda d: saved_again(first(d), d / "train/chapati/copy.jpg"), "nearly equal to another: 2"),
    "train-validation": (
        lambda d: [shutil.copy(first(d), d / "val/chapati" / name) for name in ("copy.jpg", "copy 2.jpg")],
        "equal images in train and in validation: 2",
    ),
    "train-test": (lambda d: saved_again(first(d), d / "test/a.jpg"), "in train and in test: 1"),
    "labels": (lambda d: shutil.copy(first(d), d / "train/nyamachoma/copy.jpg"), ": 1 (chapati / nyamachoma)"),
    "unreadable": (lambda d: first(d).write_bytes(b""), "that cannot be read: 1 (the file is empty 1)"),
    "personal": (lambda d: with_gps(first(d)), "personal data in their tags: 1 (GPS position, artist 1)"),
    "tiny": (lambda d: change(first(d), lambda image: image.resize((90, 70))), "smaller than half the crop"),
    "aspect": (lambda d: change(first(d), lambda image: image.resize((700, 160))), "very long or very high"),
    "uniform": (lambda d: change(first(d), lambda image: Image.new("RGB", image.size, "teal")), "of one colour"),
    "dark": (lambda d: change(first(d), lambda image: noise(image, 0, 40)), "nearly black"),
    "bright": (lambda d: change(first(d), overexposed), "nearly white"),
    "blurred": (lambda d: change(first(d), lambda image: image.filter(ImageFilter.GaussianBlur(9))), "are blurred"),
    "few": (lambda d: leave_two(d), "fewer than 3 images: chapati 2"),
    "imbalance": (lambda d: unequal(d), "very unequal size: chapati has 82 images, nyamachoma has 4"),
    "shortcut": (lambda d: [brighter(one) for one in d.glob("*/chapati/*")], "The brightness alone tells the class"),
}  # fmt: skip


def unequal(folder: Path) -> None:
    for path in (folder / "train/nyamachoma").glob("*[!9].jpg"):
        path.unlink()
    for number in range(70):
        draw = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        more = Image.fromarray(draw).resize((128, 128), Image.Resampling.BICUBIC)
        more.save(folder / f"train/chapati/more {number}.png")


def leave_two(folder: Path) -> None:
    for path in sorted(folder.glob("*/chapati/*[1-9].jpg")):
        path.unlink()


def brighter(path: Path) -> Any:
    change(path, lambda image: image.point(lambda value: value // 2 + 120))


def found(kenyan13: Command, folder: Path, cache: Path) -> dict[str, Any]:
    done = kenyan13("data", "check", str(folder), f"data.cache={cache}", "model.crop=160", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == bool(report["findings"])
    return {one["kind"]: one for one in report["findings"]}


def test_the_demo_is_clean(kenyan13: Command, demo_root: Path, tmp_path: Path) -> None:
    done = kenyan13("data", "check", "data=demo", f"data.root={demo_root}", f"data.cache={tmp_path}")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Nothing odd was found.")
    assert "Images: 104 to train, 26 to validate, 26 to test" in done.stdout


def test_a_clean_folder_is_clean(kenyan13: Command, folder: Path, tmp_path: Path) -> None:
    assert found(kenyan13, folder, tmp_path / "cache") == {}


@pytest.mark.parametrize("kind", PLANTED)
def test_each_planted_fault_is_found(kenyan13: Command, folder: Path, tmp_path: Path, kind: str) -> None:
    plant, told = PLANTED[kind]
    plant(folder)
    findings = found(kenyan13, folder, tmp_path / "cache")
    assert told in findings[kind]["text"]
    also = {"train-validation": {"equal"}, "train-test": {"nearly equal"}, "labels": {"equal"}, "few": set(),
            "imbalance": {"shortcut", "blurred", "tiny"}}  # fmt: skip
    assert set(findings) <= {kind} | also.get(kind, set())


def test_findings_name_their_images(kenyan13: Command, folder: Path, tmp_path: Path) -> None:
    shutil.copy(first(folder), folder / "train/nyamachoma/copy.jpg")
    findings = found(kenyan13, folder, tmp_path / "cache")
    own = first(folder).relative_to(folder).as_posix()
    assert findings["labels"]["images"] == [[own, "train/nyamachoma/copy.jpg"]]


def test_the_page_shows_what_was_found(kenyan13: Command, folder: Path, tmp_path: Path) -> None:
    shutil.copy(first(folder), folder / "val/nyamachoma/<copy>.jpg")
    page = tmp_path / "page"
    for _ in range(2):  # written again over the old one
        done = kenyan13("data", "check", str(folder), f"data.cache={tmp_path / 'cache'}", "-o", str(page))
    assert done.returncode == 1
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if str(page) not in line)
    html = (page / "index.html").read_text()
    assert html.count("data:image/jpeg") == 6, "one pair, in three findings"
    assert "&lt;copy&gt;.jpg: nyamachoma, validation" in html


def test_mistakes_end_with_code_2(kenyan13: Command, tmp_path: Path) -> None:
    done = kenyan13("data", "check", str(tmp_path / "nowhere"))
    assert (done.returncode, "does not exist" in done.stderr) == (2, True)


def test_what_was_seen_is_kept_until_a_file_changes(
    compose: Compose, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = compose("data=folder", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}").data
    paths = sorted(folder.glob("*/*/*"))
    before = look_at(paths, settings)
    with monkeypatch.context() as patch:
        patch.setattr("kenyan13.data.check.look", None)
        pd.testing.assert_frame_equal(look_at(paths, settings), before)
    paths[0].write_bytes(b"")
    assert look_at(paths, settings)["problem"].tolist() == ["the file is empty", *[""] * (len(paths) - 1)]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_was_seen_is_seen_again_where_its_file_is_damaged(
    compose: Compose, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Damage
) -> None:
    settings = compose("data=folder", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}").data
    paths = sorted(folder.glob("*/*/*"))[:5]
    before = look_at(paths, settings)
    (file,) = (one for one in (tmp_path / "cache").glob("looks-*") if one.suffix != ".lock")
    damage(file)
    pd.testing.assert_frame_equal(look_at(paths, settings), before)
    assert f"{file} is damaged, and made anew" in capsys.readouterr().err


def test_hashes_are_those_of_imagehash(demo_root: Path) -> None:
    """They shrink images in other ways, so that a few bits may differ."""
    for path in sorted((demo_root / "images/images").glob("*.jpg"))[:20]:
        ours = perceptual_hash(np.asarray(decode(path)))
        theirs = int(str(imagehash.phash(decode(path))), 16)
        assert (ours ^ theirs).bit_count() <= 6, path


@pytest.mark.parametrize("quality", [30, 95])
def test_hashes_outlast_size_and_compression(demo_root: Path, quality: int) -> None:
    image = decode(sorted((demo_root / "images/images").glob("*.jpg"))[3])
    file = io.BytesIO()
    image.resize((image.width * 2 // 3, image.height * 2 // 3)).save(file, "JPEG", quality=quality)
    hashes = [perceptual_hash(np.asarray(one)) for one in (image, decode(file.getvalue()))]
    assert (hashes[0] ^ hashes[1]).bit_count() <= 4
    assert perceptual_hash(np.full((40, 40, 3), 90, np.uint8)) == NO_HASH


def test_groups_by_hand() -> None:
    digests = np.array(["a", "b", "a", "", "", "c", "d"])
    hashes = np.array([1, 0b1111 << 20, 0, 0, 0, 0b111 << 20, (1 << 64) - 1], dtype=np.uint64)
    same = groups_of_same(digests, hashes)
    assert same[0] == same[2]
    assert same[1] == same[5], "one bit differs"
    # 1 and 0b111 << 20 differ in four bits
    assert same[0] == same[5]
    assert len(set(same.tolist())) == 4, "files without digest and hash are like no other"


def test_shortcuts_are_of_labelled_images_only() -> None:
    table = pd.DataFrame({"label": ["a"] * 20 + ["b"] * 20 + [""] * 5, "part": ["train"] * 40 + ["test"] * 5})
    table = table.assign(problem="", long=9.0, short=9.0, bytes=5.0, aspect=1.0, brightness=3.0)
    table["type"] = ["JPEG"] * 20 + ["PNG"] * 25
    (one,) = shortcuts(table)
    assert one.text.startswith("The file type alone tells the class: 100% right (91% to 100%), 50% by")


def sides(settings: Settings) -> tuple[set[str], set[str]]:
    train, validation = split(read(settings.data), settings.data)
    return set(train.ids), set(validation.ids)


@pytest.fixture
def doubled(demo_root: Path, tmp_path: Path) -> Path:
    """The demo's images and labels, with every fourth image there twice more."""
    root = tmp_path / "doubled"
    shutil.copytree(demo_root, root)
    table = pd.read_csv(root / "train.csv", dtype=str)
    copies = [table.iloc[::4].assign(id=table["id"][::4] + suffix) for suffix in ("a", "b")]
    for id_ in table["id"][::4]:
        for suffix in ("a", "b"):
            shutil.copy(root / f"images/images/{id_}.jpg", root / f"images/images/{id_}{suffix}.jpg")
    pd.concat([table, *copies]).to_csv(root / "train.csv", index=False)
    return root


def test_groups_stay_on_one_side_and_others_where_they_are(compose: Compose, doubled: Path, tmp_path: Path) -> None:
    given = (f"data.root={doubled}", f"data.cache={tmp_path / 'cache'}")
    before, after = sides(compose(*given)), sides(compose(*given, "data.group_duplicates=true"))
    assert before[0] | before[1] == after[0] | after[1]
    assert not after[0] & after[1]
    core = [{id_[:20] for id_ in side if f"{id_[:20]}a" in before[0] | before[1]} for side in after]
    assert not core[0] & core[1]
    for id_ in before[0] | before[1]:
        group = {id_[:20], f"{id_[:20]}a", f"{id_[:20]}b"} & (before[0] | before[1])
        most = before[0] if 2 * len(group & before[0]) >= len(group) else before[1]
        assert (id_ in after[0]) == (most is before[0])


def test_with_folds_each_image_still_validates_once(compose: Compose, doubled: Path, tmp_path: Path) -> None:
    given = (f"data.root={doubled}", f"data.cache={tmp_path / 'cache'}", "data.folds=3", "data.group_duplicates=true")
    parts = [sides(compose(*given, f"data.fold={fold}")) for fold in range(3)]
    validated = [id_ for _, validation in parts for id_ in validation]
    assert sorted(validated) == sorted(parts[0][0] | parts[0][1])
    for train, validation in parts:
        assert not {id_[:20] for id_ in train} & {id_[:20] for id_ in validation}


def test_groups_and_given_validation_images_do_not_go_together(compose: Compose, folder: Path) -> None:
    settings = compose("data=folder", f"data.root={folder}", "data.group_duplicates=true")
    with pytest.raises(UserError, match=r"data\.group_duplicates=true makes its own"):
        split(read(settings.data), settings.data)


def test_what_decoded_images_show_is_found_at_the_start(compose: Compose, doubled: Path, tmp_path: Path) -> None:
    data = ImageDataModule(compose(f"data.root={doubled}", f"data.cache={tmp_path}"), (0.5,) * 3, (0.5,) * 3)
    data.decode()
    kinds = {finding.kind: finding.text for finding in data.findings()}
    assert set(kinds) == {"train-validation", "equal"}
    train, validation = data.train.catalogue.paths, data.validation.catalogue.paths
    pairs = sum(one.read_bytes() == other.read_bytes() for one in train for other in validation)
    assert kinds["train-validation"].endswith(f"train and in validation: {pairs}")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (["nobody,chapati"], "ids that no labelled image has: nobody"),
        (["{id},chapatti"], "labels that are no class: chapatti. Did you mean 'chapati'?"),
        (["{id},"], "empty cells in line 2"),
        (["{id},drop", "{id},chapati"], "repeated id"),
        ([], "no rows"),
    ],
)
def test_corrections_that_fit_nothing_are_named(
    compose: Compose, demo_root: Path, tmp_path: Path, written: list[str], told: str
) -> None:
    file, id_ = tmp_path / "corrections.csv", read(compose().data).labelled.ids[0]
    file.write_text("\n".join(["id,label", *(line.format(id=id_) for line in written)]))
    settings = compose(f"data.corrections={file}")
    with pytest.raises(UserError) as error:
        split(read(settings.data), settings.data)
    assert told in str(error.value)


def test_corrections_change_labels_and_drop_images(compose: Compose, tmp_path: Path) -> None:
    source, file = read(compose().data).labelled, tmp_path / "corrections.csv"
    other = source.classes[(source.targets[0] + 1) % 13]
    file.write_text(f"id,label,note\n{source.ids[0]},{other},\n{source.ids[1]},drop,blurred\n")
    plain, settings = compose(), compose(f"data.corrections={file}")
    labels: dict[str, str] = {}
    for one in split(read(settings.data), settings.data):
        labels |= dict(zip(one.ids, [one.classes[target] for target in one.targets], strict=True))
    assert labels[source.ids[0]] == other
    assert source.ids[1] not in labels
    unchanged = {id_: source.classes[target] for id_, target in zip(source.ids, source.targets, strict=True)}
    assert {id_: labels[id_] for id_ in source.ids[2:]} == {id_: unchanged[id_] for id_ in source.ids[2:]}
    assert sides(plain)[0] | sides(plain)[1] == set(source.ids)


def test_there_must_be_a_file_of_corrections(compose: Compose) -> None:
    settings = compose("data.corrections=/nowhere.csv")
    with pytest.raises(UserError, match=r"There is no file /nowhere\.csv"):
        split(read(settings.data), settings.data)
