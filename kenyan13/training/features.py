"""What is made of a frozen backbone's features: freeze.features=cached, head=linear, and Co-Tuning's relation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import joblib
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from torch import Tensor, nn

from kenyan13.config.settings import AugmentSettings, Sampling, Settings, StoreKind
from kenyan13.config.targets import build
from kenyan13.data.batches import Features, ImageDataset, Images
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.sampling import Draw
from kenyan13.data.store import kept_arrays
from kenyan13.errors import UserError, first_line
from kenyan13.model.backbones import pretrained_classifier
from kenyan13.model.classifier import Classifier, mean_of_views
from kenyan13.model.freezing import parameter_levels
from kenyan13.model.linear import CoTuning, Fitted, LinearHead, linear_end, pooled_features
from kenyan13.runs.directory import OUT_OF_FOLD
from kenyan13.runs.predictions import prediction_table, write_predictions
from kenyan13.terminal import print_note, progress
from kenyan13.training.callbacks import History, RunFiles, find_callback
from kenyan13.training.display import print_epoch, print_head
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
    last, levels = linear_end(network), parameter_levels(network)
    head = {value for name, value in network.named_parameters() if levels[name] == 0}
    if last is not None and head == {*last.parameters()} and not getattr(network, "drop_rate", 0):
        return lambda images: pooled_features(network, images), last
    return network.forward_features, network.forward_head  # type: ignore[return-value]


def check_features(settings: Settings, network: nn.Module) -> None:
    """Raise UserError where freeze.features=cached or head=linear cannot be had of a network, with one forward pass."""
    if settings.freeze.get("features") == "cached":
        body, head = split_network(network)
        image = torch.zeros(1, 3, settings.model.crop, settings.model.crop)
        network.eval()
        with torch.no_grad():
            features = body(image)
            alike = isinstance(features, Tensor) and torch.allclose(head(features), network(image), atol=1e-4)
        network.train()
        if not alike:
            problem = f"{type(network).__name__} is made of parts side by side: no freeze.features=cached."
            raise UserError(problem, "freeze.features=recomputed")
    if settings.head and linear_end(network) is None:
        raise UserError(f"{type(network).__name__} ends in no linear layer: no head=linear.", "head=random")


def cached_features(data: ImageDataModule, network: nn.Module) -> Features:
    """Return the features of all images, from the cache or computed now; the network is left on the CPU.

    They are known by the images, the weights and the settings.
    """
    (body, _), settings = split_network(network), data.settings
    views = int(settings.freeze.get("views", 1))

    def make() -> dict[str, Tensor]:
        train = compute(data, network, body, data.train, settings.augment, views)
        return {"train": train, "validation": compute(data, network, body, data.validation, None, 1)}

    key = digest(settings, network, data.describe(), [settings.augment, views, settings.seed])
    return Features(**cached(settings, key, make))


def plain_features(data: ImageDataModule, network: nn.Module) -> NDArray[np.float32]:
    """Return what the last layer gets of each training image, the mean of views and mirror images: float32 [n, d].

    In the cache lie those of all labelled images by content: the folds of a data set share them.
    """

    def body(images: Tensor) -> Tensor:
        return mean_of_views(partial(pooled_features, network), images, len(images) // (1 + len(others)), mirror=True)

    others = data.settings.predict.views
    views = ["mirrored", others] if others else "mirrored"
    parts = data.train, data.validation
    contents = [images.store.digests[images.store_rows] for images in parts]
    distinct, first = np.unique(np.concatenate(contents), return_index=True)

    def make() -> dict[str, Tensor]:
        made = [compute(data, network, body, images, None, 1)[:, 0] for images in parts]
        return {"features": torch.cat(made)[torch.from_numpy(first)]}

    made = cached(data.settings, digest(data.settings, network, distinct.tolist(), views), make)["features"]
    features: NDArray[np.float32] = made.numpy()[np.searchsorted(distinct, contents[0])]
    return features


def co_tuning(data: ImageDataModule, network: nn.Module) -> CoTuning | None:
    """Return the auxiliary loss that model.cotuning asks for; None where the weights came without a classifier."""
    model = data.settings.model
    if not model.cotuning:
        return None
    classifier = pretrained_classifier(model)
    if classifier is None or linear_end(network) is None:
        print_note("These weights came without a classifier: no Co-Tuning.")
        return None
    auxiliary = CoTuning(classifier, len(data.classes), model.cotuning)
    features = torch.from_numpy(plain_features(data, network))
    auxiliary.relate(features, torch.from_numpy(data.train.catalogue.targets))
    return auxiliary


def cached(settings: Settings, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return tensors by name from the cache of features, made and kept there if they are new."""
    file = Path(settings.data.cache).expanduser().parent / "features" / f"{key}.npz"
    kept = kept_arrays(file, lambda: {name: value.numpy() for name, value in make().items()})
    return {name: torch.from_numpy(value) for name, value in kept.items()}


def digest(settings: Settings, network: nn.Module, described: Any, views: Any) -> str:
    """Return hex digits that stand for everything that the features depend on.

    described, views: the images and the views of them, told as may be.
    """
    model = settings.model
    head = {name for name, level in parameter_levels(network).items() if level == 0}
    weights = {name: value.numpy() for name, value in network.state_dict().items() if name not in head}
    lossy = settings.data.store is StoreKind.jpeg
    made_with = [views, model.backbone, model.crop, lossy]
    return str(joblib.hash([repr(made_with), precision(settings), described, weights]))


def compute(
    data: ImageDataModule, network: nn.Module, body: Callable[[Tensor], Tensor], images: Images,
    augment: AugmentSettings | None, views: int,
) -> Tensor:  # fmt: skip
    """Return what body, a part of the network, makes of some views of each image, float32 [n, views, ...]."""
    settings, device = data.settings, one_device(data.settings)
    network.to(device).eval()
    draws = [Draw(row, view, row) for row in range(len(images.catalogue)) for view in range(views)]
    loader = data.loader(ImageDataset(images, data.crop, settings.seed, augment, settings.predict.views), draws)
    low = precision(settings) == "bf16-mixed"
    parts: list[Tensor] = []
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=low):
        for raw in progress(loader, "Computing features", len(loader)):
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(raw, device, 0), 0)
            parts.append(body(batch.images).float().cpu())
    network.cpu().train()
    features = torch.cat(parts)
    return features.reshape(len(images.catalogue), views, *features.shape[1:])


def set_head(data: ImageDataModule, network: nn.Module, context: dict[str, Any]) -> tuple[Fitted, float]:
    """Fit the classifier of conf/head to the training images' features, in place of the network's last layer.

    Classes count the same where conf/balance asks for that in training. context: what interpolations may name. Returns
    the classifier, and its mean cross entropy on the images that it was fitted to. Raises UserError where classes are
    too small.
    """
    settings = data.settings
    head: LinearHead = build("head", settings.head, context=context, kind=LinearHead)
    features, targets = plain_features(data, network), data.train.catalogue.targets
    balanced = settings.balance.weighted_loss or settings.balance.sampling is not Sampling.shuffled
    try:
        fitted = head.fit(features, targets, settings.seed, balanced)
    except ValueError as error:  # of scikit-learn, where classes have a single image
        steps = ("give each class two images to train on, or more", "head=random, with trainer.max_epochs above 0")
        raise UserError(f"head=linear cannot be fitted: {first_line(error)}", *steps) from error
    last = cast(nn.Linear, linear_end(network))
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(fitted.weight))
        last.bias.copy_(torch.from_numpy(fitted.bias))
        loss = F.cross_entropy(last(torch.from_numpy(features)), torch.from_numpy(targets))
    return fitted, float(loss)


def begin_with_head(data: ImageDataModule, module: Classifier, trainer: Trainer, context: dict[str, Any]) -> None:
    """Set the head, and make the network with it epoch 0 of the run: its metrics, predictions and weights are written.

    Out-of-fold predictions of the training images are written, too. Being killed here costs no more than the features,
    which are kept: the run then begins again.
    """
    begin, history = perf_counter(), find_callback(trainer, History)
    fitted, loss = set_head(data, module.network, context)
    trainer.validate(module, datamodule=data, verbose=False)
    history.add(trainer, module, 0, perf_counter() - begin, train_loss=loss)
    find_callback(trainer, RunFiles).write(trainer, module)
    if trainer.is_global_zero:
        images = data.train.catalogue
        table = prediction_table(images.ids, data.classes, fitted.out_of_fold, images.targets)
        write_predictions(Path(trainer.default_root_dir) / OUT_OF_FOLD, table)
        print_head(fitted, images.targets)
        print_epoch(history, trainer.max_epochs or 0)
