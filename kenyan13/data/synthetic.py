"""Synthetic plates of food in the competition's layout, so that everything can be tried without its photographs."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import yaml
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageColor

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.terminal import progress

README = """These images are synthetic: drawn by a program (kenyan13/data/synthetic.py) from random numbers.
They are NOT photographs and NOT part of KenyanFood13; they only follow its classes, their proportions and its layout.
They show that the software works. An accuracy on them says nothing about the accuracy on photographs of food."""
KITCHEN = yaml.safe_load((Path(__file__).parent / "dishes.yaml").read_text())
DISHES, CORNERS = KITCHEN["dishes"], {"round": 24, "block": 4, "wedge": 3}
ODD_EVERY = 40  # one file in so many is stored with alpha, in grey or turned, as a few of the photographs are


def tones(colours: str) -> NDArray[np.float64]:
    """Return the RGB rows (n, 3), 0 to 255, of hexadecimal colours parted by blanks."""
    return np.array([ImageColor.getrgb(f"#{colour}") for colour in colours.split()], dtype=np.float64)


def draw(dish: str, rng: np.random.Generator) -> Image.Image:
    """Draw a dish on a plate, some with another beside it: an RGB image, 160 to 200 pixels on its short side."""
    short = int(rng.integers(160, 201))
    size = np.array([round(short * rng.choice([1.0, 4 / 3, 4 / 3, 3 / 2, 16 / 9])), short])
    width, height = size if rng.random() < 0.6 else size[::-1]
    light, dark = tones(rng.choice(KITCHEN["tables"]))
    cloth = cv2.resize(rng.random((height // 8, width // 8, 1)), (width, height))[..., None]
    picture = np.ascontiguousarray(light + (dark - light) * cloth)
    middle, radius = np.array([width, height]) * rng.normal(0.5, 0.05, 2), short * rng.uniform(0.36, 0.66)
    for colour, reach in zip(tones(rng.choice(KITCHEN["plates"])), (1.3, 1.07), strict=True):
        cv2.circle(picture, middle.astype(int).tolist(), int(reach * radius), colour.tolist(), -1, cv2.LINE_AA)
    portion, away = rng.uniform(0.75, 1.0), np.zeros(2)
    if rng.random() < 0.4:
        angle, portion, side = rng.uniform(0, 2 * np.pi), rng.uniform(0.52, 0.7), rng.uniform(0.38, 0.56)
        away = np.array([np.cos(angle), np.sin(angle)])
        serve(picture, rng.choice(DISHES[dish]["sides"]), middle - radius * (1 - side) * away, radius * side, rng)
    serve(picture, dish, middle + radius * (1 - portion) * away, radius * portion, rng)
    left, right = rng.uniform(0.7, 1.2, 2)
    lamp = np.linspace(left, right, width)[None, :, None] * rng.normal(1, 0.05, 3)
    photo = cv2.GaussianBlur(picture * lamp, (0, 0), rng.uniform(0.3, 0.7))
    photo = photo + rng.uniform(1, 6) * rng.standard_normal(photo.shape)
    return Image.fromarray(photo.clip(0, 255).astype(np.uint8))


def serve(picture: NDArray[Any], dish: str, centre: NDArray[Any], radius: float, rng: np.random.Generator) -> None:
    """Heap the pieces of one of a dish's recipes on a disc of a picture, float [height, width, 3]."""
    recipes, unit = DISHES[dish]["recipes"], 1.2 * radius
    for layer in recipes[rng.integers(len(recipes))]:
        corners = np.linspace(0, 2 * np.pi, CORNERS[layer["shape"]], endpoint=False)
        outline = np.column_stack([layer["long"] * np.cos(corners), np.sin(corners)]) * min(layer["size"], 0.9) * unit
        for _ in range(max(1, round(layer["pieces"] * rng.uniform(0.75, 1.25)))):
            angle, turn = rng.uniform(0, 2 * np.pi, 2)
            where = centre + layer["spread"] * radius * np.sqrt(rng.random()) * np.array([np.cos(angle), np.sin(angle)])
            turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * rng.uniform(0.8, 1.2)
            colour = rng.choice(tones(layer["colours"])) * rng.normal(1, 0.07)
            for shade, scale in ((0.7, 1.0), (1.0, 0.85)):
                points = np.rint(16 * (scale * outline @ turned + where)).astype(np.int32)
                cv2.fillPoly(picture, [points], (shade * colour).tolist(), cv2.LINE_AA, shift=4)


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
