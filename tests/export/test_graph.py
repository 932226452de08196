"""The graph's parts: its resizing is Pillow's bit for bit, and its maps are Grad-CAM's."""

import io
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from kenyan13.data.images import centre_views, load, resize_length
from kenyan13.export.graph import place_logits, views

# crop, height, width
SAME, SMALLER, LARGER = [(28, 32, 32), (28, 33, 32)], [(33, 20, 30), (32, 1, 1), (224, 3, 5)], [(33, 255, 257)]
TALL = [(32, 640, 97), (33, 210, 40), (224, 300, 45), (32, 701, 50)]  # the last: of more than ten times its width
SHARES = [1, 0.7, 0.31]  # a length of 36 px has squares of 25 and 11, neither in its middle to the pixel
WIDE = [(32, 97, 640), (33, 40, 210), (224, 256, 341), (32, 50, 701), (224, 3, 100)]


def noise(height: int, width: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("crop", "height", "width"), [*SAME, *SMALLER, *LARGER, *TALL, *WIDE])
def test_resizing_is_the_training_s_bit_for_bit(crop: int, height: int, width: int) -> None:
    images = [noise(height, width, seed) for seed in (0, 1)]
    with torch.compiler.set_stance("force_eager"):  # or torch.cond would be compiled for each size
        got = views(torch.from_numpy(np.stack(images)), crop, SHARES).numpy()
        usual = views(torch.from_numpy(np.stack(images)), crop, []).numpy()
    np.testing.assert_array_equal(usual, got[:: 1 + len(SHARES)])
    for image, made in zip(images, np.split(got, 2), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        np.testing.assert_array_equal(made, centre_views(load(file.getvalue(), resize_length(crop)), crop, SHARES))


def tiny(name: str, size: int = 32, **more: Any) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=4, **more).eval()


def grad_cam(network: nn.Module, images: Tensor, of: int, against: int | None = None) -> Tensor:
    """The oracle: the features' channels, each by the mean gradient of the logits, without the last ReLU."""
    features = network.forward_features(images).detach().requires_grad_()  # type: ignore[operator]
    logits = network.forward_head(features)[0]  # type: ignore[operator]
    score = logits[of] if against is None else logits[of] - logits[against]
    (gradient,) = torch.autograd.grad(score, features)
    summed: Tensor = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)
    return summed[0].detach()


def standard(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std()


@pytest.mark.parametrize("name", ["test_resnet", "resnet18", "mobilenetv2_035", "regnetx_002"])
def test_maps_of_convolutional_networks_are_grad_cam_s(name: str) -> None:
    network, images = tiny(name), torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        maps = place_logits(network, network.forward_features(images))  # type: ignore[operator]
    assert maps is not None
    for of, against in ((0, None), (2, None), (1, 3)):
        ours = maps[0, of] - (0 if against is None else maps[0, against])
        torch.testing.assert_close(standard(ours), standard(grad_cam(network, images, of, against)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["test_resnet", "resnet18", "test_vit"])
def test_maps_average_to_the_logits_where_the_head_averages(name: str) -> None:
    more: dict[str, Any] = {"global_pool": "avg", "fc_norm": False, "img_size": 96} if name == "test_vit" else {}
    network = tiny(name, **more)
    with torch.no_grad():
        features = network.forward_features(torch.rand(2, 3, 96, 96))  # type: ignore[operator]
        maps, logits = place_logits(network, features), network.forward_head(features)  # type: ignore[operator]
    assert maps is not None
    torch.testing.assert_close(maps.mean(dim=(2, 3)), logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1), "embed_dim": 24, "num_heads": (1, 1, 1, 1)}),
        ("convnext_atto", {}),
        ("test_convnext", {}),
        ("test_vit", {"img_size": 64}),  # the first token
        ("test_vit", {"img_size": 64, "global_pool": "avg"}),
        ("eva02_tiny_patch14_224", {"img_size": 56, "depth": 1}),
        ("deit_tiny_distilled_patch16_224", {"img_size": 64, "depth": 1}),
    ],
)
def test_each_place_has_the_logits_of_an_image_that_is_all_like_it(name: str, more: dict[str, Any]) -> None:
    network = tiny(name, **more)
    side = more.get("img_size", 224)
    with torch.no_grad():
        features = network.forward_features(torch.rand(1, 3, side, side))  # type: ignore[operator]
        maps = place_logits(network, features)
        assert maps is not None
        rows, columns = maps.shape[2:]
        assert maps.shape[:2] == (1, 4)
        assert rows == columns == side // (32 if side == 224 else 14 if "eva" in name else 16)
        # fill the whole image with what is at one place
        row, column = rows // 2, columns - 1
        if features.ndim == 3:
            prefix = network.num_prefix_tokens
            one = features[:, prefix + row * columns + column]  # type: ignore[operator]
            filled = one[:, None].expand_as(features)
        elif features.shape[1] == network.num_features:
            filled = features[:, :, row, column, None, None].expand_as(features)
        else:
            filled = features[:, row, column, None, None].expand_as(features)
        logits = network.forward_head(filled.contiguous())  # type: ignore[operator]
    torch.testing.assert_close(maps[..., row, column], logits, atol=1e-5, rtol=1e-4)


def test_no_maps_where_features_have_no_places() -> None:
    network = nn.Identity()
    network.num_features = 8  # type: ignore[assignment]
    assert place_logits(network, torch.rand(2, 8)) is None
