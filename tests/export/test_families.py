"""Each family of backbones, the study's and today's: its graph gives what torch gives. At random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kenyan13.config.compose import compose_settings
from kenyan13.export.graph import One, views
from kenyan13.export.session import Graph
from kenyan13.export.write import write
from kenyan13.model.backbones import build
from kenyan13.training.inference import TrainedRun

FAMILIES = [
    "resnet18", "resnext50_32x4d", "wide_resnet50_2", "vgg11_bn", "densenet121", "efficientnet_b0",
    "efficientnet_lite0", "mobilenetv2_100", "mobilenetv4_conv_small", "convnext_tiny", "convnextv2_nano",
    "convnext_tiny_dinov3", "efficientnetv2_rw_t", "efficientnetv2_s", "swinv2_tiny", "vit_small", "eva02_tiny",
    "dinov2_small", "dinov3_small", "siglip2_base",
]  # fmt: skip
CLASSES = tuple("abcde")


@pytest.mark.slow
@pytest.mark.parametrize("model", FAMILIES)
def test_the_graph_gives_torch_s_probabilities(model: str, tmp_path: Path) -> None:
    settings = compose_settings([f"model={model}", "recipe=modern", "model.pretrained=false"])
    torch.manual_seed(0)
    network = build(settings.model, len(CLASSES), pretrained=False)
    module = One(TrainedRun(tmp_path, settings, CLASSES, 1.0, network)).eval()
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((300, 400), (513, 260), (90, 70))]
    with torch.inference_mode():
        # Untrained networks say the same of all images: divided by how far they differ, their logits do not.
        crops = torch.cat([views(torch.from_numpy(image[None]), module.crop, module.shares) for image in images])
        logits = module.pooled_and_logits(crops)[1]
        module.temperature = float((logits - logits.mean(dim=1, keepdim=True)).std()) / 2
        expected = torch.cat([module(torch.from_numpy(image[None]))[0] for image in images]).numpy()
    assert np.ptp(expected) > 0.3
    write(module, tmp_path / "model.onnx", {"classes": list(CLASSES), "set_scores": [], "max_pixels": 10**9})
    graph = Graph(tmp_path / "model.onnx")
    got = np.stack([graph.run(image).probabilities for image in images])
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).all()
