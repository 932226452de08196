"""smoke=true: any run at toy size, to see in seconds that all of it works. Its figures say nothing."""

from dataclasses import replace
from pathlib import Path

from kenyan13.config.settings import DataSettings, Layout, Settings

MARK = "-smoke"
ROOT = "data/demo"  # as in conf/data/demo.yaml
EPOCHS, CROP, BATCH = 2, 32, 32
# Beginning of a backbone's name -> timm's miniature of that family (untrained, a tenth of a million parameters or so).
# They keep the family's freezing levels. What is not here is stood for by the small CNN.
MINIATURES = {
    "resnet": "test_resnet",
    "resnext": "test_resnet",
    "wide_resnet": "test_resnet",
    "efficientnet": "test_efficientnet",
    "tf_efficientnet": "test_efficientnet",
}


def toy(settings: Settings, name: str) -> Settings:
    """Return the settings at toy size: synthetic drawings, a miniature network, two epochs, a name and folder apart."""
    data = drawings(settings.data)
    backbone = next((tiny for start, tiny in MINIATURES.items() if settings.model.backbone.startswith(start)), None)
    model = replace(
        settings.model,
        backbone=backbone or "small_cnn", pretrained=False, weights=None, crop=CROP, batch_size=BATCH,
    )  # fmt: skip
    trainer = {
        **settings.trainer,
        "max_epochs": min(EPOCHS, settings.trainer["max_epochs"]), "accelerator": "cpu", "devices": 1,
    }  # fmt: skip
    callbacks = {**settings.callbacks, "tensorboard": {**settings.callbacks.get("tensorboard", {}), "graph": False}}
    runs = str(Path(settings.runs) / "smoke")
    return replace(
        settings,
        data=data,
        model=model,
        trainer=trainer,
        callbacks=callbacks,
        experiment=None,
        name=name + MARK,
        runs=runs,
    )


def drawings(data: DataSettings) -> DataSettings:
    """Return the same settings on the demo's drawings: at their usual place, or where the data is the demo already."""
    root = data.root if data.layout is Layout.demo else ROOT
    return replace(data, layout=Layout.demo, root=root, subset=None)
