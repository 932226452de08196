"""`python train.py ... --dry-run`: what the runs of a plan would take, by what has been measured; starts nothing."""

from collections.abc import Sequence
from contextlib import suppress

from kenyan13.cli.app import console
from kenyan13.cli.sweep import Planned, result_of
from kenyan13.errors import UserError
from kenyan13.runs.find import find_runs
from kenyan13.runs.run import read_all
from kenyan13.terminal import duration

STATES = 4  # of each parameter, float32: the best weights, and the last with Adam's two moments


def print_costs(planned: Sequence[Planned]) -> None:
    """Print images, time and disk of the runs that have not finished; for data that cannot be read, UserError.

    Time is that of finished runs of the network at the size, by images; disk is decoded images and checkpoints.
    """
    import torch

    from kenyan13.data.catalogue import read
    from kenyan13.data.images import resize_length
    from kenyan13.data.split import split
    from kenyan13.model.backbones import build

    due = [one for one in planned if one.due and not one.is_cascade and result_of(one.folder) is None]
    measured: dict[tuple[str, int], float] = {}  # seconds an image, of each network and size
    with suppress(UserError):  # there are none yet
        for run in read_all(find_runs(list({one.folder.parent for one in planned}))):
            if run.result and (seen := run.result.epochs * run.result.train_images):
                key = str(run.setting("model.backbone")), int(run.setting("model.crop"))
                measured[key] = run.result.seconds / seen
    images, seconds, unknown, disk, stores = 0, 0.0, 0, 0.0, {}
    for one in due:
        model, data = one.settings.model, one.settings.data
        train, validation = split(read(data), data)
        with torch.device("meta"):
            disk += 4 * STATES * sum(value.numel() for value in build(model, 1, pretrained=False).parameters())
        stores[data.root, model.crop] = (len(train) + len(validation)) * 4 * resize_length(model.crop) ** 2
        epochs = one.settings.trainer.get("max_epochs", 0)
        views = len(train) * (epochs if isinstance(epochs, int) else 8)
        images += views
        rate = measured.get((model.backbone, model.crop))
        seconds, unknown = seconds + views * (rate or 0), unknown + (rate is None)
    console.print(f"{len(due)} to do: at most {images:,} images trained on")
    known = f"about {duration(seconds)} for {len(due) - unknown} of them" if len(due) > unknown else ""
    absent = f"not known for {unknown}: no run of their network at their size has finished here" if unknown else ""
    console.print(f"Time: {'; '.join(filter(None, (known, absent))) or 'none'}")
    console.print(f"Disk: about {(disk + sum(stores.values())) / 1e9:,.1f} GB, {disk / 1e9:,.1f} of it checkpoints")
    console.print("Nothing was started (--dry-run).")
