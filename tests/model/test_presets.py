"""Networks of conf/model: the study's presets, other ones, the small CNN."""

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from kenyan13.config.compose import compose_settings
from kenyan13.config.presets import CONF
from kenyan13.config.settings import ModelSettings
from kenyan13.model.backbones import build, create, normalisation

# study, Models: preset, crop, batch size
STUDY = """
resnet18 224/96, resnet34 224/96, resnet50 224/96, resnet101 224/74, resnet152 224/52, resnext50_32x4d 224/88,
resnext101_32x8d 224/35, wide_resnet50_2 224/81, wide_resnet101_2 224/48, vgg11_bn 224/96, vgg13_bn 224/66,
vgg16_bn 224/58, vgg19_bn 224/54, densenet121 224/76, densenet169 224/61, densenet201 224/47, densenet161 224/39,
efficientnet_b0 224/94, efficientnet_b1 240/57, efficientnet_b2 260/45, efficientnet_b3 300/26,
efficientnet_b4 380/12, efficientnet_b5 456/6, efficientnet_b6 528/3, efficientnet_b7 600/2
"""
PRESETS = dict(entry.split() for entry in STUDY.split(","))


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_is_the_study_s(preset: str) -> None:
    model = compose_settings([f"model={preset}"]).model
    assert model.backbone == (f"tf_{preset}.aa_in1k" if "efficient" in preset else f"{preset}.tv_in1k")
    assert f"{model.crop}/{model.batch_size}" == PRESETS[preset]
    assert (model.pretrained, model.weights) == (True, None)
    assert timm.is_model_pretrained(model.backbone)  # with this very tag
    colours = normalisation(model)
    assert (colours.mean, colours.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.device("meta"):
        ours, for_13 = (build(model, classes, pretrained=False) for classes in (1000, 13))
        reference = torchvision.models.get_model(preset, weights=None)
    assert (len(PRESETS), size(ours)) == (25, size(reference))
    features = for_13.get_classifier().in_features  # type: ignore[operator]
    assert size(for_13) == size(reference) - (1000 - 13) * (features + 1)


# The colours of the weights' own training: of ImageNet, of TensorFlow (each channel to -1..1), of CLIP.
IMAGENET, CLIP = (0.485, 0.456, 0.406), (0.48145466, 0.4578275, 0.40821073)
MEANS = {
    **dict.fromkeys(("efficientnet_lite0", "efficientnet_lite2", "efficientnetv2_s"), (0.5, 0.5, 0.5)),
    **dict.fromkeys(("vit_small", "siglip2_base"), (0.5, 0.5, 0.5)),
    **dict.fromkeys(("eva02_tiny", "eva02_small"), CLIP),
}
STDS = {IMAGENET: (0.229, 0.224, 0.225), CLIP: (0.26862954, 0.26130258, 0.27577711), (0.5,) * 3: (0.5,) * 3}


@pytest.mark.parametrize("preset", sorted({file.stem for file in CONF.glob("model/*.yaml")} - set(PRESETS)))
def test_other_presets_build(preset: str) -> None:
    model = compose_settings([f"model={preset}"]).model
    with torch.device("meta"):
        logits = build(model, 13, pretrained=False)(torch.empty(2, 3, model.crop, model.crop))
    assert logits.shape == (2, 13)
    assert timm.is_model_pretrained(model.backbone) == model.pretrained == (preset != "small_cnn")
    colours = normalisation(model)
    assert colours.mean == (mean := MEANS.get(preset, IMAGENET))
    assert colours.std == STDS[mean]
    # DINOv2's own 518 px take seven times as long
    assert model.crop == (224 if preset in ("dinov2_small", "small_cnn") else colours.input_size[-1])
    restricted = not (colours.license or "other").startswith(("apache", "mit", "bsd"))
    first = (CONF / "model" / f"{preset}.yaml").read_text().splitlines()[0]
    assert restricted == any(word in first for word in ("CC-BY-NC", "License", "from scratch")), colours.license


def test_small_cnn_layer_by_layer() -> None:
    network: nn.Module = timm.create_model("small_cnn", num_classes=13).eval()
    seen: list[tuple[object, ...]] = []

    def note(layer: nn.Module, given: object, made: Tensor) -> None:
        seen.append((type(layer).__name__, *made.shape[1:]))

    for layer in (layer for layer in network.modules() if not list(layer.children())):
        layer.register_forward_hook(note)
    network(torch.zeros(1, 3, 224, 224))
    stages: list[tuple[object, ...]] = []
    for width, side in ((16, 224), (24, 112), (36, 56), (54, 28), (81, 14)):
        stages += [(name, width, side, side) for name in ("Conv2d", "BatchNorm2d", "ReLU")]
        stages += [("MaxPool2d", width, side // 2, side // 2)]
    linear = [("Flatten", 3969), ("Dropout", 3969), ("Linear", 1024), ("ReLU", 1024)]
    assert seen == [*stages, *linear, ("Dropout", 1024), ("Linear", 256), ("ReLU", 256), ("Linear", 13)]
    assert [stage[0].kernel_size for stage in network.stages] == [(7, 7), *[(5, 5)] * 4]  # type: ignore[union-attr]
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize(("crop", "features"), [(32, 81), (64, 4 * 81), (224, 49 * 81)])
def test_small_cnn_size(crop: int, features: int) -> None:
    network = create(ModelSettings("small_cnn", False, crop=crop, batch_size=2), tuple("abcdefghijklm"))
    convolutions = 16 * 3 * 49 + (24 * 16 + 36 * 24 + 54 * 36 + 81 * 54) * 25
    assert size(network) == convolutions + 2 * 211 + (features + 1) * 1024 + 1025 * 256 + 257 * 13
    assert network(torch.zeros(2, 3, crop, crop)).shape == (2, 13)
