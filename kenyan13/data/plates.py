"""A table, a plate and a dish seen from above, drawn from random numbers: the images of the synthetic data set.

Colour and height are painted together in one four-channel image, and the light is computed from the height.
"""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import ImageColor


class Layer(NamedTuple):
    """Pieces of one kind heaped on a portion; dishes.yaml explains the fields."""

    shape: str
    pieces: float = 1
    size: float = 1
    long: float = 1
    rise: float = 0
    rough: float = 0
    bend: float = 0
    spread: float = 0
    colours: str = ""
    spots: str = ""


KITCHEN = yaml.safe_load((Path(__file__).parent / "dishes.yaml").read_text())
DISHES = KITCHEN["dishes"]
Floats = NDArray[np.floating[Any]]


def tones(colours: str) -> Floats:
    """Return the RGB rows (n, 3), in 0-255, of hexadecimal colours parted by blanks."""
    return np.array([ImageColor.getrgb(f"#{colour}") for colour in colours.split()], dtype=np.float32)


def noise(rng: np.random.Generator, height: int, width: int, cell_y: int, cell_x: int) -> Floats:
    """Return smooth noise (height, width) of about unit variance whose patches are cell_y by cell_x pixels."""
    coarse = rng.standard_normal((height // cell_y + 2, width // cell_x + 2), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def table_top(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Return a table of wood, checked cloth or plain cloth: colour, and a height of zero, (height, width, 4)."""
    made_of, *colours = rng.choice(KITCHEN["tables"]).split()
    side = int(np.hypot(height, width)) + 1
    across = np.arange(side, dtype=np.float32) / side
    if made_of == "wood":
        planks = across * rng.uniform(1, 5)
        mix = 0.4 + 0.25 * noise(rng, side, side, 2, 60) + 0.15 * noise(rng, side, side, 9, 120)
        plank = rng.normal(0, 0.2, 6)[planks.astype(int)] + 1.5 * (planks % 1 < 0.015)
        mix = mix + plank.astype(np.float32)[:, None]
    elif made_of == "check":
        stripe = np.float32(0.5) * (across * rng.integers(8, 20) % 1 < rng.uniform(0.3, 0.6))
        mix = stripe[:, None] + stripe + 0.04 * noise(rng, side, side, 2, 2)
    else:
        mix = 0.4 + 0.3 * noise(rng, side, side, 2, 2) + 0.3 * noise(rng, side, side, 50, 50)
    light, dark = tones(" ".join(colours)) * rng.normal(1, 0.06, 3).astype(np.float32)
    cloth = np.zeros((side, side, 4), dtype=np.uint8)
    cloth[..., :3] = np.clip(light + (dark - light) * mix[..., None], 0, 255)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(0, 180), 1.0)
    turn[:, 2] = turn[:, 2] + (np.array([width, height]) - side) / 2
    return np.asarray(cv2.warpAffine(cloth, turn, (width, height), borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)


class Scene:
    """A table with a plate seen from above; lengths are in radii of the plate's well, whose middle is (0, 0)."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.rng = rng
        self.paint = table_top(rng, height, width)
        self.radius = min(height, width) * rng.uniform(0.36, 0.66)
        turn, tilt = rng.uniform(0, np.pi), rng.uniform(0.78, 1.0)
        cos, sin = np.cos(turn), np.sin(turn)
        # The pieces on the plate turn freely; the camera then squeezes everything a little from top to bottom.
        self.to_pixels = self.radius * np.array([[cos, -sin], [sin * tilt, cos * tilt]])
        self.middle = np.array([width, height]) * rng.normal(0.5, 0.05, 2)
        self.tint = rng.normal(1, 0.03, 3)

    def fill(self, outlines: Floats, colours: Floats, heights: Floats) -> None:
        """Paint outlines (n, points, 2), one after the other, with RGB colours (n, 3) and heights (n), all in 0-255."""
        points = np.rint((outlines @ self.to_pixels.T + self.middle) * 16).astype(np.int32)
        values = np.column_stack([colours, heights]).clip(0, 255).tolist()
        for outline, value in zip(points, values, strict=True):
            cv2.fillPoly(self.paint, [outline], value, cv2.LINE_AA, shift=4)

    def outlines(self, layer: Layer, count: int, size: float) -> Floats:
        """Return the outlines (count, points, 2) of a layer's pieces, each around (0, 0)."""
        rng = self.rng
        angle = np.linspace(0, 2 * np.pi, 10 if size * self.radius < 8 else 36, endpoint=False)
        x, y = np.cos(angle), np.sin(angle)
        if layer.shape == "block":
            x, y = (0.88 * np.sign(v) * np.abs(v) ** 0.45 for v in (x, y))
        elif layer.shape == "wedge":
            reach = 1.35 * (0.5 / np.cos(angle % (2 * np.pi / 3) - np.pi / 3)) ** 0.7
            x, y = reach * x, reach * y
        uneven = np.cos(angle * np.arange(2, 6)[:, None] + rng.uniform(0, 7, (count, 4, 1))).sum(axis=1) / 2
        width = (1 + layer.rough * uneven) * size * rng.normal(1, 0.12, (count, 1)).clip(0.6, 1.4)
        x, y = x * width * layer.long * rng.normal(1, 0.1, (count, 1)).clip(0.7, 1.3), y * width
        y = y + layer.bend * rng.normal(0, 1, (count, 1)) * x**2 / (size * layer.long)
        turn = rng.uniform(0, 2 * np.pi, (count, 1))
        return np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=-1)

    def scatter(self, layer: Layer, centre: Floats, portion: float) -> None:
        """Heap a layer's pieces on the disc of radius `portion` around `centre`."""
        rng = self.rng
        count = max(1, round(layer.pieces * portion**2 * rng.uniform(0.75, 1.25)))
        size = min(layer.size * rng.uniform(0.85, 1.15), 0.9 * portion)
        # A sunflower's seeds: even cover without lumps and gaps, whatever the count.
        seed = rng.permutation(count)[:, None]
        reach = layer.spread * np.sqrt(seed / count)
        angle = seed * 2.39996 + rng.uniform(0, 7)
        where = np.hstack([np.cos(angle), np.sin(angle)]) * reach + rng.normal(0, 0.06, (count, 2))
        where = centre + where * max(portion - 0.7 * size, 0.1)
        outlines = self.outlines(layer, count, size)
        colours = rng.choice(tones(layer.colours), count) * self.tint * rng.normal(1, 0.07, (count, 1))
        # A piece is a stack of ever smaller outlines, from its rim (1) up to its top (near 0), and then its spots.
        ring = np.linspace(1, 0.15, int(np.clip(size * self.radius / 2.5, 1, 16)))
        rings = outlines[:, None] * ring[:, None, None]
        shades = colours[:, None] * (0.86 + 0.16 * np.sqrt(1 - 0.9 * ring**2))[:, None]
        ring = np.tile(ring, (count, 1))
        if layer.spots:
            spots = int(rng.uniform(0.3, 1.0) * size * self.radius * np.sqrt(layer.long))
            out = np.sqrt(rng.uniform(0, 0.8, (count, spots)))
            on = outlines[np.arange(count)[:, None], rng.integers(outlines.shape[1], size=(count, spots))]
            round_ones = self.outlines(layer._replace(shape="round", long=1.3, rough=0.25), 20, size)
            widths = rng.uniform(0.03, 0.15, (count, spots, 1, 1)) * min(1.0, 0.45 / size)
            dots = rng.choice(round_ones, (count, spots)) * widths
            rings = np.concatenate([rings, dots + (on * out[..., None])[:, :, None]], axis=1)
            spot_colours = rng.choice(tones(layer.spots), (count, spots)) * self.tint
            shades, ring = np.concatenate([shades, spot_colours], axis=1), np.concatenate([ring, out], axis=1)
        heights = 35 + 45 * portion * (1 - reach**2) + layer.rise * np.sqrt(1 - 0.9 * ring**2)
        points = outlines.shape[1]
        self.fill((rings + where[:, None, None]).reshape(-1, points, 2), shades.reshape(-1, 3), heights.ravel())

    def serve(self, dish: str, centre: Floats, portion: float) -> None:
        """Put one of the recipes of a dish on the disc of radius `portion` around `centre`."""
        recipes = DISHES[dish]["recipes"]
        for layer in recipes[self.rng.integers(len(recipes))]:
            self.scatter(Layer(**layer), centre, portion)

    def set_table(self) -> None:
        """Paint the plate and, on some tables, a mug of tea beside it."""
        rng = self.rng
        rim, well = tones(rng.choice(KITCHEN["plates"])) * rng.normal(1, 0.02, 3)
        long = 1.0 if rng.random() < 0.8 else 1.25
        plate = Layer("block" if rng.random() < 0.2 else "round", long=long)
        outline = self.outlines(plate, 1, 1.0) * np.array([1, 0.97, 0.82, 0.79])[:, None, None]
        shades = np.array([rim, 0.97 * rim, well, 0.96 * well])
        self.fill(outline / np.abs(outline).max() * 1.3, shades, np.array([42, 34, 28, 16]))
        if rng.random() < 0.4:
            angle = rng.uniform(0, 2 * np.pi)
            mug = self.outlines(plate._replace(shape="round", long=1), 1, 0.4) * np.array([1, 0.86])[:, None, None]
            at = 1.75 * np.array([np.cos(angle), np.sin(angle)])
            self.fill(at + mug, tones("e8e4dc a8713f"), np.array([120, 90]))

    def lit(self) -> Floats:
        """Return the scene as RGB (height, width, 3), around 0-255, in the light of a lamp or window to one side."""
        rng = self.rng
        rows, columns = self.paint.shape[:2]
        height = self.paint[..., 3].astype(np.float32)
        height += 3 * noise(rng, rows, columns, 3, 3) * (height > 45)
        height = cv2.GaussianBlur(height, (0, 0), 1.0).astype(np.float32)
        angle = rng.uniform(0, 2 * np.pi)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        slope = np.tanh((cos * cv2.Sobel(height, cv2.CV_32F, 1, 0) + sin * cv2.Sobel(height, cv2.CV_32F, 0, 1)) / 90)
        away = np.array([[1, 0, 4 * cos], [0, 1, 4 * sin]])
        behind = cv2.warpAffine(height, away, (columns, rows), borderMode=cv2.BORDER_REPLICATE)
        shadow = np.clip((cv2.GaussianBlur(behind, (0, 0), 3) - height) / 110, 0, 0.6) * rng.uniform(0.6, 1.1)
        right = np.linspace(-1, 1, columns, dtype=np.float32)
        down = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
        falloff = 1 - rng.uniform(0, 0.25) * (right * cos + down * sin) - rng.uniform(0, 0.12) * (right**2 + down**2)
        light = (1 + 0.42 * slope) * (1 - shadow) * falloff + 0.02 * noise(rng, rows, columns, 7, 7)
        shine = 90 * rng.random() * np.clip(slope - 0.5, 0, None) * (height > 45)
        warmth = np.exp(rng.normal(0, 0.07) * np.array([1, 0, -1]) + rng.normal(0, 0.12)).astype(np.float32)
        return (self.paint[..., :3] * light[..., None] + shine[..., None]) * warmth
