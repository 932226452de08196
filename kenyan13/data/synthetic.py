"""Synthetic plates of food in the competition's layout, so that everything can be tried without its photographs."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from filelock import FileLock
from PIL import Image

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.plates import DISHES, Scene
from kenyan13.terminal import progress

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
        scene.serve(rng.choice(DISHES[dish]["sides"]), -toward * (1 - side), side)
    scene.serve(dish, centre, portion)
    photo = cv2.GaussianBlur(scene.lit(), (0, 0), rng.uniform(0.3, 0.7))
    photo = photo + rng.uniform(1, 6) * rng.standard_normal(photo.shape, dtype=np.float32)
    return Image.fromarray(photo.clip(0, 255).astype(np.uint8))


def stored(photo: Image.Image, index: int) -> bytes:
    """Return the bytes of the image's file: JPEG, but now and then with alpha (PNG), in grey or lying on its side."""
    file, exif, kind = BytesIO(), Image.Exif(), "JPEG"
    odd = index // ODD_EVERY % 3 if index % ODD_EVERY == 7 else None
    if odd == 0:
        kind = "PNG"
        photo.putalpha(Image.linear_gradient("L").resize(photo.size).point(lambda value: min(255, 4 * value)))
    elif odd == 1:
        photo = photo.convert("L")
    elif odd == 2:
        photo = photo.transpose(Image.Transpose.ROTATE_90)
        exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    photo.save(file, kind, quality=85, exif=exif)
    return file.getvalue()


def shuffled_classes(number: int, rng: np.random.Generator) -> list[str]:
    """Return `number` dishes in random order, by their weights (Sainte-Lague's method), one each first."""
    weights = np.array([dish["weight"] for dish in DISHES.values()])
    counts = np.ones(len(weights), dtype=np.int64)
    for _ in range(number - len(weights)):
        counts[np.argmax(weights / (2 * counts + 1))] += 1
    return [str(name) for name in rng.permutation(np.repeat(list(DISHES), counts))][:number]


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
    """Write `labelled` (13 or more) training and `test` test images into the new folder `root`, whole or not at all.

    Every byte is a function of the numbers given. Raises OSError when root is there already with something in it.
    """
    root = root.resolve()
    rng = np.random.default_rng(seed)
    total = labelled + test
    # One number from each of `total` equal steps of the 64-bit numbers with 20 digits: distinct without a check.
    step = (2**64 - 10**19) // total
    ids = [str(10**19 + int(number) * step + int(rng.integers(step))) for number in rng.permutation(total)]
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
        half.rename(root)
