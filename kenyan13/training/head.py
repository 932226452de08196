"""head=linear: the head set to a linear classifier of the frozen backbone's features, before anything is trained."""

from pathlib import Path
from time import perf_counter
from typing import cast

import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch import nn

from kenyan13.config.settings import Sampling, Settings
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.errors import UserError, first_line
from kenyan13.model.classifier import Classifier
from kenyan13.model.cotuning import linear_end
from kenyan13.model.linear import Fitted, LinearHead
from kenyan13.runs.directory import OUT_OF_FOLD
from kenyan13.runs.predictions import prediction_table, write_predictions
from kenyan13.training.callbacks import History, RunFiles, find_callback
from kenyan13.training.display import print_epoch, print_head
from kenyan13.training.features import plain_features


def set_head(head: LinearHead, settings: Settings, data: ImageDataModule, network: nn.Module) -> tuple[Fitted, float]:
    """Fit a classifier to the training images' features and put it in place of the network's last layer.

    Classes count the same where conf/balance asks for that in training. Returns the classifier, and its mean cross
    entropy on the images that it was fitted to. Raises UserError where classes are too small.
    """
    features, targets = plain_features(settings, data, network), data.train.catalogue.targets
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


def begin_with_head(
    head: LinearHead,
    settings: Settings,
    data: ImageDataModule,
    module: Classifier,
    trainer: Trainer,
) -> None:
    """Set the head, and make the network with it epoch 0 of the run: its metrics, predictions and weights are written.

    Out-of-fold predictions of the training images are written, too. Being killed here costs no more than the features,
    which are kept: the run then begins again.
    """
    begin, history = perf_counter(), find_callback(trainer, History)
    fitted, loss = set_head(head, settings, data, module.network)
    trainer.validate(module, datamodule=data, verbose=False)
    history.add(trainer, module, 0, perf_counter() - begin, train_loss=loss)
    find_callback(trainer, RunFiles).write(trainer, module)
    if trainer.is_global_zero:
        images = data.train.catalogue
        table = prediction_table(images.ids, data.classes, fitted.out_of_fold, images.targets)
        write_predictions(Path(trainer.default_root_dir) / OUT_OF_FOLD, table)
        print_head(fitted, images.targets)
        print_epoch(history, trainer.max_epochs or 0)
