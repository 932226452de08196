"""Images reach a trained network as torchvision would bring them."""

from collections.abc import Callable

import numpy as np
import torch
import torchvision.transforms as T
from PIL import Image, ImageOps

from kenyan13.config.settings import Settings
from kenyan13.data.catalogue import read
from kenyan13.data.images import resize_length
from kenyan13.model.backbones import normalisation
from kenyan13.runs.locate import run_directory
from kenyan13.training.inference import open_run
from kenyan13.training.run import train


def test_a_trained_network_predicts_as_with_torchvisions_images(compose: Callable[..., Settings]) -> None:
    """At most one prediction in 200 differs from those on Resize (antialiased), CenterCrop and Normalize."""
    settings = compose("model.crop=64", "trainer.max_epochs=3")
    train(settings)
    run = open_run(run_directory(settings))
    colours = normalisation(settings.model)
    steps = [T.Resize(resize_length(64)), T.CenterCrop(64), T.ToTensor(), T.Normalize(colours.mean, colours.std)]
    prepare = T.Compose(steps)
    source = read(settings.data)
    assert source.test is not None
    paths = [*source.labelled.paths, *source.test.paths]
    crops = torch.stack([prepare(opened(path)) for path in paths])
    run.network.eval()
    with torch.inference_mode():
        theirs = run.network(crops).softmax(dim=1).numpy()
    ours, _ = run.predict(paths)
    assert np.mean(ours.argmax(axis=1) != theirs.argmax(axis=1)) <= 1 / 200
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def opened(path: object) -> Image.Image:
    """An image in RGB over white, turned as its EXIF data says."""
    image = ImageOps.exif_transpose(Image.open(str(path)))
    if "A" in image.getbands():
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")
