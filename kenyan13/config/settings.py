"""Every setting of kenyan13's own with its type and default: the schema that conf/ is checked against. No torch.

The help of a setting is the comment in the conf/ file that sets it; ranges are checked in compose.py.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

MAX_PIXELS = 178_956_970  # of one image, as many as Pillow reads: 0.7 GB decoded


Layout = StrEnum("Layout", ["competition", "folder", "demo", "table"])  # how images and labels lie on disk
OnBad = StrEnum("OnBad", ["stop", "skip"])  # what to do about images that cannot be read
StoreKind = StrEnum("StoreKind", ["raw", "jpeg", "off"])  # decoded images are kept as pixels, as JPEG, or not at all
Sampling = StrEnum("Sampling", ["shuffled", "weighted", "balanced"])  # which training images an epoch draws
# which epoch's weights a run keeps: the best one's in validation, or the last (better than a fitted head)
Keep = StrEnum("Keep", ["loss", "accuracy", "macro_f1", "last"])
Fill = StrEnum("Fill", ["zero", "random"])  # what random erasing writes into its rectangle


@dataclass
class ColumnSettings:
    """Names of a table's columns; None: those of the usual names."""

    id: str | None = None
    label: str | None = None
    split: str | None = None


@dataclass
class DataSettings:
    """conf/data: which images, and how they are divided."""

    layout: Layout = MISSING
    root: str = MISSING
    columns: ColumnSettings = field(default_factory=ColumnSettings)
    validation_fraction: float = MISSING
    fold: int | None = None
    folds: int = MISSING
    split_seed: int = MISSING
    subset: int | None = None
    groups: dict[str, list[str]] = field(default_factory=dict)
    stage: str | None = None
    test: bool = False
    on_bad: OnBad = MISSING
    cache: str = MISSING
    store: StoreKind = StoreKind.raw
    workers: int | None = None
    max_pixels: int = MAX_PIXELS
    group_duplicates: bool = False
    corrections: str | None = None


@dataclass
class ErasingSettings:
    """Random erasing (arXiv 1708.04896), after normalising."""

    probability: float = 0.0
    area: list[float] = field(default_factory=lambda: [0.02, 0.33])
    ratio: list[float] = field(default_factory=lambda: [0.3, 3.3])
    fill: Fill = Fill.zero


@dataclass
class NoiseSettings:
    """Gaussian noise, after normalising."""

    probability: float = 0.0
    std: float = 0.1


@dataclass
class AugmentSettings:
    """conf/augment: ranges that each training image's parameters are drawn from."""

    crop_area: list[float] | None = None
    crop_ratio: list[float] = field(default_factory=lambda: [3 / 4, 4 / 3])
    brightness: list[float] = field(default_factory=lambda: [1.0, 1.0])
    contrast: list[float] = field(default_factory=lambda: [1.0, 1.0])
    saturation: list[float] = field(default_factory=lambda: [1.0, 1.0])
    hue: float = 0.0
    vertical_flip: float = 0.0
    horizontal_flip: float = 0.0
    rotation: float = 0.0
    translation: float = 0.0
    scale: list[float] = field(default_factory=lambda: [1.0, 1.0])
    shear: float = 0.0
    erasing: ErasingSettings = field(default_factory=ErasingSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    extra: list[Any] = field(default_factory=list)


@dataclass
class BalanceSettings:
    """conf/balance: what is done about unequal class sizes."""

    sampling: Sampling = Sampling.shuffled
    weighted_loss: bool = False


@dataclass
class ModelSettings:
    """conf/model: the network, its weights, and the crop and batch size that go with it.

    options: keywords of timm.create_model, as drop_rate.
    toy: backbone and options of a small network of the same family, for debug=smoke.
    rate, layer_decay, frozen_bn: good ones to fine-tune all layers with, for others to name: optim.lr=${model.rate}.
    """

    backbone: str = MISSING
    pretrained: bool = True
    weights: str | None = None
    crop: int = MISSING
    batch_size: int = MISSING
    options: dict[str, Any] = field(default_factory=dict)
    toy: dict[str, Any] = field(default_factory=lambda: {"backbone": "test_efficientnet", "options": {}})
    channels_last: bool = True
    compile: bool = False
    cotuning: float = 0.0
    rate: float = 1e-3
    layer_decay: float = 1.0
    frozen_bn: str = "eval"


@dataclass
class PredictSettings:
    """How probabilities are made of an image: views and mirror in validation, too; temperature for new images only.

    views: of middle squares beside the usual one, their sides as shares of the image's short side.
    """

    views: list[float] = field(default_factory=list)
    mirror: bool = False
    temperature: bool = False


@dataclass
class Settings:
    """All settings of one run; the groups of BUILT are plain values, of which Hydra builds their `_target_`s."""

    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    balance: BalanceSettings = field(default_factory=BalanceSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    head: dict[str, Any] = field(default_factory=dict)
    freeze: dict[str, Any] = field(default_factory=dict)
    optim: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    stop: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    predict: PredictSettings = field(default_factory=PredictSettings)
    keep: Keep = Keep.loss
    export: bool = True
    seed: int = MISSING
    experiment: str | None = None
    name: str | None = None
    runs: str = MISSING


BUILT = ("head", "freeze", "optim", "schedule", "loss", "stop", "callbacks", "logger", "trainer")
SEVERAL = ("callbacks", "logger")  # of these there may be several, each under a name of its own
