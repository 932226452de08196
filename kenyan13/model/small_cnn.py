"""The study's small CNN, and a toy, registered with timm so that they are made like any other network."""

from collections.abc import Sequence
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import VGG, build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

STAGES = ((16, 7), (24, 5), (36, 5), (54, 5), (81, 5))  # channels, kernel size (study, Models)

COMMON = {"num_classes": 1000, "input_size": (3, 224, 224), "mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}

default_cfgs = generate_default_cfgs({
    "small_cnn.untrained": {**COMMON, "fixed_input_size": True, "first_conv": "stages.0.0", "classifier": "head"},
    "toy_vgg.untrained": {**COMMON, "first_conv": "features.0", "classifier": "head.fc"},
})  # fmt: skip


class SmallCNN(nn.Module):
    """Five convolution-norm-ReLU-maxpool stages, then linear layers of 1024, 256 and `num_classes` (study, group F).

    Convolutions keep the size and every pool halves it: images need at least 32 pixels a side.
    """

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, img_size: int | tuple[int, int] = 224) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stages = nn.Sequential()
        channels = in_chans
        for width, kernel in STAGES:
            convolution = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False)
            norm = nn.BatchNorm2d(width)
            self.stages.append(nn.Sequential(convolution, norm, nn.ReLU(inplace=True), nn.MaxPool2d(2)))
            channels = width
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        features = channels * (height // 2 ** len(STAGES)) * (width // 2 ** len(STAGES))
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(features, 1024), nn.ReLU(inplace=True),
            nn.Dropout(0.5), nn.Linear(1024, 256), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.head = nn.Linear(256, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float [n, num_classes], of images, float [n, 3, img_size, img_size]."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Return what the convolutions make of images (timm's interface)."""
        features: Tensor = self.stages(images)
        return features

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits of features, or what the last layer gets, float [n, 256] (timm's interface)."""
        hidden: Tensor = self.hidden(features)
        return hidden if pre_logits else self.head(hidden)

    def get_classifier(self) -> nn.Module:
        """Return the last linear layer (timm's interface)."""
        return self.head

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return the patterns of the layer groups in order of depth (timm's interface)."""
        return {"stem": r"^stages\.0", "blocks": [(r"^stages\.(\d+)", None), (r"^hidden|^head", (99999,))]}


@register_model
def small_cnn(pretrained: bool = False, **kwargs: Any) -> SmallCNN:
    """Make the small CNN; there are no pretrained weights."""
    network: SmallCNN = build_model_with_cfg(SmallCNN, "small_cnn", pretrained, **kwargs)
    return network


@register_model
def toy_vgg(pretrained: bool = False, depths: Sequence[int] = (1, 1, 1, 1, 1), **kwargs: Any) -> VGG:
    """Make a narrow VGG with batch norm, of so many convolutions a stage, for debug=smoke: timm has no test_vgg."""
    plan = [one for width, depth in zip((8, 16, 16, 32, 32), depths, strict=True) for one in [*[width] * depth, "M"]]
    narrow: dict[str, Any] = {"cfg": plan, "mlp_ratio": 1 / 128, "norm_layer": nn.BatchNorm2d}
    network: VGG = build_model_with_cfg(VGG, "toy_vgg", pretrained, **narrow, **kwargs)
    return network
