"""Synthetic plates of food in the competition's layout, so that everything can be tried without its photographs."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from filelock import FileLock
from PIL import Image

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.plates import SIDES, Scene
from kenyan13.errors import UserError
from kenyan13.terminal import progress

# Labelled images of KenyanFood13 a class, in whose proportions the drawings are shared out.
TRAIN_ROWS = {
    "bhaji": 632, "chapati": 862, "githeri": 479, "kachumbari": 494, "kukuchoma": 173, "mandazi": 620,
    "masalachips": 438, "matoke": 483, "mukimo": 212, "nyamachoma": 784, "pilau": 329, "sukumawiki": 402, "ugali": 628,
}  # fmt: skip
README = """These images are synthetic: drawn by a program (kenyan13/data/synthetic.py) from random numbers.
They are NOT photographs and NOT part of KenyanFood13; they only follow its classes, their proportions and its layout.
They show that the software works. An accuracy on them says nothing about the accuracy on photographs of food."""
ODD_EVERY = 40  # one file in so many is stored with alpha, in grey or turned, as a few of the photographs are


def draw(dish: str, rng: np.random.Generator) -> Image.Image:
    """Draw one photograph-like RGB image of a dish, 160 to 200 pixels on its short side."""
    short = int(rng.integers(160, 201))
    long = round(short * rng.choice([1.0, 4 / 3, 4 / 3, 3 / 2, 16 / 9]))
    scene = Scene(rng, short, long) if rng.random() < 0.6 else Scene(rng, long, short)
    scene.set_table()
    portion, centre = rng.uniform(0.75, 1.0), rng.normal(0, 0.04, 2)
    if rng.random() < 0.4:
        angle, side = rng.uniform(0, 2 * np.pi), rng.uniform(0.38, 0.56)
        toward = np.array([np.cos(angle), np.sin(angle)])
        portion = rng.uniform(0.52, 0.7)
        centre = toward * (1 - portion)
        scene.serve(rng.choice(SIDES[dish].split()), -toward * (1 - side), side)
    scene.serve(dish, centre, portion)
    photo = cv2.GaussianBlur(scene.lit(), (0, 0), rng.uniform(0.3, 0.7))
    photo = photo + rng.uniform(1, 6) * rng.standard_normal(photo.shape, dtype=np.float32)
    return Image.fromarray(photo.clip(0, 255).astype(np.uint8))


def stored(photo: Image.Image, index: int) -> bytes:
    """Return the bytes of the image's file: JPEG, but now and then with alpha (PNG), in grey or lying on its side."""
    file, exif = BytesIO(), Image.Exif()
    odd = index // ODD_EVERY % 3 if index % ODD_EVERY == 7 else None
    if odd == 0:
        photo.putalpha(Image.linear_gradient("L").resize(photo.size).point(lambda value: min(255, 4 * value)))
        photo.save(file, "PNG")
        return file.getvalue()
    if odd == 1:
        photo = photo.convert("L")
    if odd == 2:
        photo = photo.transpose(Image.Transpose.ROTATE_90)
        exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    photo.save(file, "JPEG", quality=85, exif=exif)
    return file.getvalue()


def class_counts(labelled: int) -> dict[str, int]:
    """Share images out among the classes in proportion to TRAIN_ROWS, at least one each (Sainte-Lague's method)."""
    rows = np.array(list(TRAIN_ROWS.values()))
    counts = np.ones(len(rows), dtype=np.int64)
    for _ in range(labelled - len(rows)):
        counts[np.argmax(rows / (2 * counts + 1))] += 1
    return dict(zip(TRAIN_ROWS, counts.tolist(), strict=True))


def shuffled_classes(number: int, rng: np.random.Generator) -> list[str]:
    """Return `number` class names in random order, as many of each as class_counts says where there are enough."""
    counts = class_counts(max(number, len(TRAIN_ROWS)))
    return [str(name) for name in rng.permutation(np.repeat(list(counts), list(counts.values())))][:number]


def draw_if_missing(data: DataSettings) -> None:
    """Draw the demo where the settings ask for it and it is not there; of several runs, one draws and others wait."""
    root = Path(data.root).expanduser()
    if data.layout is not Layout.demo or root.exists():
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if not root.exists():
            draw_dataset(root)


def draw_dataset(root: Path, labelled: int = 780, test: int = 130, seed: int = 13) -> None:
    """Write a synthetic data set with `labelled` training and `test` test images into the new folder `root`.

    Every byte is a function of the numbers given. The folder appears only once it is complete.
    Raises UserError when `root` is there already and not empty, or when a class would have no training image.
    """
    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(
            f"{root} is there already and is not an empty folder; nothing was drawn.",
            "Name another folder, or remove this one first if it is an earlier drawing.",
        )
    if labelled < len(TRAIN_ROWS) or test < 1:
        raise UserError(
            f"{labelled} labelled and {test} test images are too few.",
            f"Ask for at least {len(TRAIN_ROWS)} labelled images (one a class) and 1 test image.",
        )
    rng = np.random.default_rng(seed)
    total = labelled + test
    # One number from each of `total` equal steps of the 64-bit numbers with 20 digits: distinct without a check.
    step = (2**64 - 10**19) // total
    ids = [str(10**19 + int(place) * step + int(rng.integers(step))) for place in rng.permutation(total)]
    classes = shuffled_classes(labelled, rng) + shuffled_classes(test, rng)

    root.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as unfinished:
        half = Path(unfinished) / root.name
        (half / "images" / "images").mkdir(parents=True)
        for index in progress(range(total), "Drawing synthetic plates"):
            photo = draw(classes[index], np.random.default_rng([seed, index]))
            (half / "images" / "images" / f"{ids[index]}.jpg").write_bytes(stored(photo, index))
        texts = {
            "train.csv": ["id,class", *map(",".join, zip(ids, classes[:labelled], strict=False))],
            "test.csv": ["id", *ids[labelled:]],
            "sample_submission.csv": ["id,class", *(f"{name},githeri" for name in ids[labelled:])],
            "README.txt": [README],
        }
        for name, lines in texts.items():
            (half / name).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        if root.exists():
            root.rmdir()
        half.rename(root)
