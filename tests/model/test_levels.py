"""Levels of freezing: the study's of its 25 networks, by depth of others, and a step of training at each."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from kenyan13.config.presets import presets
from kenyan13.config.settings import ModelSettings
from kenyan13.model.backbones import build, head_prefixes
from kenyan13.model.freezing import Freeze, parameter_counts, parameter_levels

# study, Freezing levels: what each level adds, 0 to 5, as the beginnings of timm's parameter names
RESNET = ("fc.", "layer4.", "layer3.", "layer2.", "layer1.", "conv1. bn1.")
DENSENET = (
    "classifier.",
    "features.denseblock4. features.norm5.",
    "features.denseblock3. features.transition3.",
    "features.denseblock2. features.transition2.",
    "features.denseblock1. features.transition1.",
    "features.conv0. features.norm0.",
)
# places of convolutions and norms in `features`, first stage to fifth
VGG = {
    11: ("0 1", "4 5", "8 9 11 12", "15 16 18 19", "22 23 25 26"),
    13: ("0 1 3 4", "7 8 10 11", "14 15 17 18", "21 22 24 25", "28 29 31 32"),
    16: ("0 1 3 4", "7 8 10 11", "14 15 17 18 20 21", "24 25 27 28 30 31", "34 35 37 38 40 41"),
    19: ("0 1 3 4", "7 8 10 11", "14 15 17 18 20 21 23 24", "27 28 30 31 33 34 36 37", "40 41 43 44 46 47 49 50"),
}
BLOCKS = (16, 23, 23, 26, 32, 39, 45, 55)  # of EfficientNet B0 to B7
RESNETS = "resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d wide_resnet50_2"
STUDY = [
    *RESNETS.split(), "wide_resnet101_2", *(f"vgg{depth}_bn" for depth in VGG),
    *(f"densenet{depth}" for depth in (121, 169, 201, 161)), *(f"tf_efficientnet_b{k}" for k in range(8)),
]  # fmt: skip


@cache
def on_meta(backbone: str) -> nn.Module:
    """The network with 13 classes, without memory."""
    with torch.device("meta"):
        network: nn.Module = timm.create_model(backbone, num_classes=13)
    return network


def expected(backbone: str) -> Sequence[str]:
    """The beginnings of the parameter names that each level adds, by the study's table."""
    if backbone.startswith("vgg"):
        stages = VGG[int(backbone[3:5])]
        return ("pre_logits. head.", *(" ".join(f"features.{i}." for i in s.split()) for s in reversed(stages)))
    if backbone.startswith("densenet"):
        return DENSENET
    if not backbone.startswith("tf_efficientnet"):
        return RESNET
    names = (name.split(".") for name, _ in on_meta(backbone).named_parameters() if name.startswith("blocks."))
    blocks = sorted({(int(stage), int(block)) for _, stage, block, *_ in names})
    assert len(blocks) == BLOCKS[int(backbone[-1])]
    div, rem = divmod(len(blocks), 5)
    fifths, start = [], 0
    for fifth in range(5):
        end = start + (div + 1 if fifth < rem else div)
        fifths.append(" ".join(f"blocks.{stage}.{block}." for stage, block in blocks[start:end]))
        start = end
    first, second, third, fourth, last = fifths
    return ("classifier.", f"{last} conv_head. bn2.", fourth, third, second, f"{first} conv_stem. bn1.")


@pytest.mark.parametrize("backbone", STUDY)
def test_levels_are_the_study_s(backbone: str) -> None:
    network, levels = on_meta(backbone), expected(backbone)
    names = {name for name, _ in network.named_parameters()}
    added = [{name for name in names if name.startswith(tuple(level.split()))} for level in levels]
    assert (len(STUDY), len(added), all(added)) == (25, 6, True)
    assert (sum(map(len, added)), set().union(*added)) == (len(names), names)  # disjoint, complete
    for level in range(6):
        Freeze().apply(network, level)
        trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
        assert trained == set().union(*added[: level + 1])
    assert sum(parameter_counts(network)) == sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_of_resnet18() -> None:
    # by hand: 512 x 13 + 13; stages of four 3x3 convolutions, a 1x1 from the second on, and norms; the 7x7 stem
    assert parameter_counts(on_meta("resnet18")) == [6669, 8393728, 2099712, 525568, 147968, 9408 + 128]


@pytest.mark.parametrize(
    ("backbone", "head", "stem", "last"),
    [
        ("convnext_tiny", "head.fc.", "stem.0.weight", "head.norm.weight"),
        ("vit_tiny_patch16_224", "head.", "patch_embed.proj.weight", "norm.weight"),
        ("regnety_002", "head.fc.", "stem.conv.weight", "s4.b7.conv3.conv.weight"),
        ("mobilenetv3_small_050", "classifier.", "conv_stem.weight", "conv_head.weight"),
        ("swin_tiny_patch4_window7_224", "head.fc.", "patch_embed.proj.weight", "norm.weight"),
        ("test_maxvit", "head.fc.", "stem.conv1.weight", "norm.weight"),
        ("small_cnn", "head.", "stages.0.0.weight", "hidden.5.weight"),
    ],
)
def test_other_families_are_cut_by_depth(backbone: str, head: str, stem: str, last: str) -> None:
    network = on_meta(backbone)
    levels = parameter_levels(network)
    assert levels.keys() == {name for name, _ in network.named_parameters()}
    assert {name for name, level in levels.items() if level == 0} == {f"{head}weight", f"{head}bias"}
    assert (levels[stem], levels[last]) == (5, 1)
    groups = timm.models.group_parameters(network, network.group_matcher(), reverse=True)  # type: ignore[operator]
    depths = [{groups[name] for name in levels if levels[name] == level} for level in (5, 4, 3, 2, 1)]
    assert sorted(depth for part in depths for depth in part) == sorted(set().union(*depths))
    assert all(max(part) < min(deeper) for part, deeper in pairwise(depths))
    assert max(map(len, depths)) - min(map(len, depths)) <= 1


@pytest.mark.parametrize("backbone", ["caformer_s18", "pit_ti_224", "poolformer_s12"])
def test_networks_without_layer_groups_are_cut_by_their_modules(backbone: str) -> None:
    with torch.device("meta"):
        network = timm.create_model(backbone, num_classes=13)
    levels = parameter_levels(network)
    assert set(levels) == {name for name, _ in network.named_parameters()}
    assert set(levels.values()) == set(range(6))
    names = list(levels)
    assert levels[names[0]] == 5, "the stem"
    assert all(levels[name] == 0 for name in names if name.startswith(head_prefixes(network)))


def assert_levels_train(backbone: str, crop: int) -> None:
    """At each level, a step of training changes the level's parameters and no others; deeper ones come later."""
    torch.manual_seed(3)
    network = build(ModelSettings(backbone, crop=crop, batch_size=2), 4, pretrained=False)
    with torch.no_grad():
        for value in network.parameters():  # nothing stays at zero, where gradient and decay may be zero too
            value.add_(0.02 * torch.randn_like(value))
    levels = parameter_levels(network)
    for level in range(6):
        Freeze().apply(network.train(), level)
        before = {name: value.clone() for name, value in network.named_parameters()}
        optimizer = torch.optim.SGD(network.parameters(), 1e-3, weight_decay=0.1)
        F.cross_entropy(network(torch.randn(2, 3, crop, crop)), torch.arange(2)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        moved = {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}
        assert moved == {name for name in before if levels[name] <= level}
    assert set(levels.values()) == set(range(6))
    if hasattr(network, "group_matcher"):
        matcher: Any = network.group_matcher
        depth = timm.models.group_parameters(network, matcher(), reverse=True)
        parts = [[depth[name] for name in levels if levels[name] == level] for level in (5, 4, 3, 2, 1)]
        assert all(max(part) <= min(later) for part, later in pairwise(parts))


OTHERS = [preset["backbone"] for preset in presets("model").values()]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", sorted(one for one in OTHERS if one.partition(".")[0] not in STUDY))
def test_a_step_at_each_level_of_each_preset(backbone: str) -> None:
    assert_levels_train(backbone, 112)  # a multiple of 14, 16 and of Swin's windows


@pytest.mark.parametrize("backbone", timm.list_models("test_*"))
def test_a_step_at_each_level_of_each_tiny_network(backbone: str) -> None:
    assert_levels_train(backbone, 64)
