"""debug=smoke: each experiment's own family at toy size, and no two networks of the study as the same toy."""

import json

import pytest
import torch

from kenyan13.config.compose import compose_settings
from kenyan13.config.presets import presets
from kenyan13.model.backbones import build
from kenyan13.model.freezing import FAMILIES, LEVELS, parameter_counts
from kenyan13.study.definitions import experiments

MODELS = sorted({one.settings["model"] for one in experiments().values()})


@pytest.mark.parametrize("model", MODELS)
def test_a_toy_is_of_the_family_and_has_all_levels(model: str) -> None:
    settings = compose_settings([f"model={model}", "debug=smoke"]).model
    network = build(settings, 13, pretrained=False)
    starts = {"efficientnet": "efficientnet", "vgg": "vgg", "dense": "densenet", "small": "small_cnn"}
    family = next((family for start, family in starts.items() if model.startswith(start)), "resnet")
    assert type(network).__module__.rpartition(".")[2] == family
    assert family in (*FAMILIES, "small_cnn")
    counts = parameter_counts(network)
    assert len(counts) == LEVELS
    assert min(counts) > 0
    if model != "small_cnn":
        assert sum(counts) < 2_000_000
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 13)


def test_no_two_networks_have_the_same_toy() -> None:
    toys = [json.dumps(presets("model")[model]["toy"]) for model in MODELS]
    assert len(set(toys)) == len(MODELS) == 26
