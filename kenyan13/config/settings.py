"""Every setting with its type and default: the schema that conf/ is checked against. Imports no torch.

The help of a setting is the comment in the conf/ file that sets it; ranges are checked by `check`.
"""

from dataclasses import dataclass, field
from enum import Enum

from omegaconf import MISSING


class Task(Enum):
    """What is done with the settings."""

    train = "train"
    contact_sheets = "contact_sheets"
    cascade = "cascade"


class Layout(Enum):
    """How images and labels lie on disk."""

    competition = "competition"
    folder = "folder"
    demo = "demo"


class OnBad(Enum):
    """What to do about images that cannot be read."""

    stop = "stop"
    skip = "skip"


class StoreKind(Enum):
    """How decoded images are kept: as pixels, as JPEG at the run's size, or not at all."""

    raw = "raw"
    jpeg = "jpeg"
    off = "off"


class Sampling(Enum):
    """Which training images an epoch draws."""

    shuffled = "shuffled"
    weighted = "weighted"
    balanced = "balanced"


class Fill(Enum):
    """What random erasing writes into its rectangle."""

    zero = "zero"
    random = "random"


class FrozenBatchNorm(Enum):
    """Whether the batch norms of frozen layers keep their statistics (eval) or go on moving them (train)."""

    eval = "eval"
    train = "train"


class FrozenFeatures(Enum):
    """Whether the outputs of a frozen backbone are computed at every step, or once."""

    recomputed = "recomputed"
    cached = "cached"


class Optimizer(Enum):
    """The optimiser's name."""

    adam = "adam"
    adamw = "adamw"
    sgd = "sgd"


class Schedule(Enum):
    """The learning-rate schedule's name."""

    constant = "constant"
    step = "step"
    multistep = "multistep"
    plateau = "plateau"
    cosine = "cosine"


class StopRule(Enum):
    """What ends training before max_epochs."""

    none = "none"
    loss = "loss"
    accuracy = "accuracy"


class Precision(Enum):
    """Arithmetic of the forward and backward pass."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass
class DataSettings:
    """conf/data: which images, and how they are divided."""

    layout: Layout = MISSING
    root: str = MISSING
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


@dataclass
class BalanceSettings:
    """conf/balance: what is done about unequal class sizes."""

    sampling: Sampling = Sampling.shuffled
    weighted_loss: bool = False


@dataclass
class ModelSettings:
    """conf/model: the network, its weights, and the crop and batch size that go with it."""

    backbone: str = MISSING
    pretrained: bool = True
    weights: str | None = None
    crop: int = MISSING
    batch_size: int = MISSING


@dataclass
class FreezeSettings:
    """conf/freeze: which layer groups train."""

    level: int = 5
    unfreeze: list[list[int]] = field(default_factory=list)
    frozen_bn: FrozenBatchNorm = FrozenBatchNorm.eval
    features: FrozenFeatures = FrozenFeatures.recomputed
    views: int = 1


@dataclass
class OptimSettings:
    """conf/optim: the optimiser."""

    name: Optimizer = MISSING
    lr: float = MISSING
    weight_decay: float = 0.0
    momentum: float = 0.9
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])


@dataclass
class ScheduleSettings:
    """conf/schedule: how the learning rate changes from epoch to epoch."""

    name: Schedule = Schedule.constant
    factor: float = 0.1
    every: int = 10
    milestones: list[int] = field(default_factory=list)
    patience: int = 10
    threshold: float = 1e-3
    warmup: int = 0


@dataclass
class StopSettings:
    """conf/stop: when training ends before max_epochs."""

    rule: StopRule = StopRule.none
    patience: int = 15
    threshold: float = 0.02
    smoothing: float = 0.3


@dataclass
class TrainerSettings:
    """conf/trainer: how long, on what device, in which arithmetic."""

    max_epochs: int = MISSING
    accelerator: str = "auto"
    devices: int = 1
    precision: Precision = Precision.auto
    channels_last: bool = True
    checkpoints: bool = True
    model_graph: bool = True
    compile: bool = False


@dataclass
class Settings:
    """All settings of one run."""

    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    balance: BalanceSettings = field(default_factory=BalanceSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    freeze: FreezeSettings = field(default_factory=FreezeSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    stop: StopSettings = field(default_factory=StopSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    task: Task = Task.train
    seed: int = MISSING
    smoke: bool = False
    experiment: str | None = None
    name: str | None = None
    runs: str = MISSING
