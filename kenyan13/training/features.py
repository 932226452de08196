"""freeze.features=cached: the outputs of a frozen backbone, computed once for all epochs and runs, and its head."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from kenyan13.config.settings import AugmentSettings, Settings, StoreKind
from kenyan13.data.batches import Features, ImageDataset, Images
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.sampling import Draw
from kenyan13.errors import UserError
from kenyan13.model.freezing import parameter_levels
from kenyan13.runs.directory import replacing
from kenyan13.terminal import progress
from kenyan13.training.trainer import one_device, precision


def split_network(network: nn.Module) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return body and head of a network of timm's: images -> features, features -> logits.

    Features are as far along as the frozen layers reach: pooled, where only the last linear layer trains. Raises
    UserError for a network whose frozen part is another one at every step.
    """
    random = any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in network.modules())
    if random or not hasattr(network, "forward_head"):
        reason = "has dropout in it" if random else "cannot be taken apart"
        raise UserError(f"{type(network).__name__} {reason}: no freeze.features=cached.", "freeze.features=recomputed")
    last = network.get_classifier()  # type: ignore[operator]
    head = {name for name, level in parameter_levels(network).items() if level == 0}
    own = {name for name, value in network.named_parameters() if any(value is one for one in last.parameters())}
    if isinstance(last, nn.Linear) and head == own and not getattr(network, "drop_rate", 0):
        return lambda images: network.forward_head(network.forward_features(images), pre_logits=True), last  # type: ignore[operator]
    return network.forward_features, network.forward_head  # type: ignore[return-value]


def cached_features(
    settings: Settings, data: ImageDataModule, network: nn.Module, described: dict[str, Any]
) -> Features:
    """Return the features of all images, from the cache or computed now; the network is left on the CPU.

    described: what config.yaml records of the data. Features are known by it, by the weights and by the settings.
    """
    folder = Path(settings.data.cache).expanduser().parent / "features"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{digest(settings, network, described)}.npz"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            train = compute(settings, data, network, data.train, settings.augment, int(settings.freeze.get("views", 1)))
            validation = compute(settings, data, network, data.validation, None, 1)
            with replacing(file) as temporary, temporary.open("wb") as writing:
                np.savez(writing, train=train.numpy(), validation=validation.numpy())
    with np.load(file) as saved:
        return Features(torch.from_numpy(saved["train"]), torch.from_numpy(saved["validation"]))


def digest(settings: Settings, network: nn.Module, described: dict[str, Any]) -> str:
    """Return hex digits that stand for everything that the features depend on."""
    model, freeze = settings.model, settings.freeze
    head = {name for name, level in parameter_levels(network).items() if level == 0}
    weights = {name: value.numpy() for name, value in network.state_dict().items() if name not in head}
    lossy = settings.data.store is StoreKind.jpeg
    made_with = [settings.augment, freeze.get("views", 1), settings.seed, model.backbone, model.crop, lossy]
    return str(joblib.hash([repr(made_with), precision(settings), described, weights]))


def compute(
    settings: Settings,
    data: ImageDataModule,
    network: nn.Module,
    images: Images,
    augment: AugmentSettings | None,
    views: int,
) -> Tensor:
    """Return the features of some views of each image, float32 [n, views, ...]."""
    device = one_device(settings)
    network.to(device).eval()
    body, _ = split_network(network)
    draws = [Draw(row, view, row) for row in range(len(images.catalogue)) for view in range(views)]
    loader = data.loader(ImageDataset(images, data.crop, settings.seed, augment), draws)
    low = precision(settings) == "bf16-mixed"
    parts: list[Tensor] = []
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=low):
        for raw in progress(loader, "Computing features", len(loader)):
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(raw, device, 0), 0)
            parts.append(body(batch.images).float().cpu())
    network.cpu().train()
    features = torch.cat(parts)
    return features.reshape(len(images.catalogue), views, *features.shape[1:])
