"""Optimisers against steps by hand, and the learning rate of each epoch against lists."""

from collections.abc import Sequence

import pytest
import timm
import torch
from timm.optim._param_groups import param_groups_layer_decay
from torch import nn
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from kenyan13.config.compose import compose_settings
from kenyan13.config.targets import build
from kenyan13.model.optimisation import cosine_share, create_optimizer

SQRT = 0.31622776601683794  # sqrt(0.1), the study's factor


def network_of(*parameters: Parameter) -> nn.Module:
    network = nn.Module()
    for k, parameter in enumerate(parameters):
        network.register_parameter(str(k), parameter)
    return network


@pytest.mark.parametrize(
    ("name", "kind", "decay", "expected"),
    [
        # g = 0.5 + 0.1 x 2 = 0.7, w = 2 - 0.07; buffer = 0.9 x 0.7 + (-0.2 + 0.193) = 0.623; 0.9 x 0.623 + 0.48677
        ("sgd", SGD, 0.1, [1.93, 1.8677, 1.762953]),
        ("sgd", SGD, 0, [1.95, 1.925, 1.8725]),
        # L2 goes through the moments. Adam's first step is the rate, whatever g = 0.7. Then g = -0.2 + 0.19 = -0.01,
        # m = 0.9 x 0.07 - 0.001 = 0.062, v = 0.999 x 0.00049 + 0.0000001 = 0.00048961,
        # and the step is 0.1 x (0.062 / 0.19) / sqrt(0.00048961 / 0.001999)
        ("adam", Adam, 0.1, [1.9, 1.834065]),
        ("adam", Adam, 0, [1.9, 1.865439]),
        # decoupled: w = 2 x 0.99 - 0.1 = 1.88; then m = 0.9 x 0.05 - 0.02 = 0.025, v = 0.999 x 0.00025 + 0.00004,
        # and w = 1.88 x 0.99 - 0.1 x (0.025 / 0.19) / sqrt(0.00028975 / 0.001999)
        ("adamw", AdamW, 0.1, [1.88, 1.826639]),
        ("adamw", AdamW, 0, [1.9, 1.865439]),
    ],
)
def test_first_steps(name: str, kind: type, decay: float, expected: Sequence[float]) -> None:
    settings = compose_settings([f"optim={name}", "optim.lr=0.1", f"optim.weight_decay={decay}"]).optim
    weight, frozen = Parameter(torch.tensor(2.0, dtype=torch.float64)), Parameter(torch.tensor(3.0))
    optimizer = create_optimizer(settings, network_of(weight, frozen))
    assert type(optimizer) is kind
    reached = []
    for gradient, _ in zip((0.5, -0.2, 0.3), expected, strict=False):
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        reached.append(weight.item())
    assert reached == pytest.approx(expected, abs=1e-6)
    assert frozen.item() == 3


def rates(overrides: Sequence[str], epochs: int, losses: Sequence[float] = ()) -> list[float]:
    """The rate of each epoch, where the full rate is 1; losses: the training loss at the end of each epoch."""
    optimizer = SGD([Parameter(torch.ones(1))], 1.0)
    context = {"trainer": {"max_epochs": epochs}}
    schedule = build("schedule", compose_settings(overrides).schedule, optimizer, context=context)
    seen = []
    for loss in losses or [1.0] * epochs:
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(loss)
        else:
            schedule.step()
    return seen


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["schedule=constant"], [1.0] * 20),
        (["schedule=step"], [1.0] * 10 + [SQRT] * 10 + [0.1] * 10 + [0.1 * SQRT] * 5),
        (["schedule=step", "schedule.step_size=2", "schedule.gamma=0.5"], [1, 1, 0.5, 0.5, 0.25]),
        (["schedule=multistep"], [1.0] * 10 + [SQRT] * 10 + [0.1] * 10 + [0.1 * SQRT] * 5),
        (
            ["schedule=multistep", "schedule.milestones=[20,30,40,50]"],
            [1.0] * 20 + [SQRT] * 10 + [0.1] * 10 + [0.1 * SQRT] * 10 + [0.01] * 10,
        ),
        (["schedule=cosine", "schedule.warmup=0"], [1, 0.8535534, 0.5, 0.1464466]),
        (["schedule=cosine"], [0.5, 1, 0.8535534, 0.5, 0.1464466]),
        (["schedule=cosine", "schedule.warmup=3"], [0.25, 0.5, 0.75, 1, 0.75, 0.25]),
    ],
)
def test_rate_of_each_epoch(overrides: Sequence[str], expected: Sequence[float]) -> None:
    assert rates(overrides, len(expected)) == pytest.approx(expected, rel=2e-6)


# (training loss, rate of that epoch): a fall by less than 1e-3 of the best loss counts as none, and the epoch after the
# third such one in a row gets a lower rate where patience is 2
PLATEAU = [
    (1.0, 1), (0.9995, 1), (0.9989, 1),  # 0.9995 is none, 0.9989 is one
    (0.9990, 1), (0.9980, 1), (1.2, 1),  # none against 0.9989, so
    (0.9985, SQRT), (0.5, SQRT),  # none, one
    (0.5, SQRT), (0.4996, SQRT), (0.51, SQRT), (0.3, 0.1), (0.3, 0.1),
]  # fmt: skip


def test_plateau_follows_the_training_loss() -> None:
    losses, expected = zip(*PLATEAU, strict=True)
    assert rates(["schedule=plateau", "schedule.patience=2"], len(losses), losses) == pytest.approx(expected)
    # the study's patience of 10: one epoch sets the best loss, eleven do not better it
    assert rates(["schedule=plateau"], 14) == pytest.approx([1] * 12 + [SQRT] * 2)


@pytest.mark.parametrize(
    ("epoch", "warmup", "epochs", "expected"),
    [
        (0, 0, 10, 1), (5, 0, 10, 0.5), (10, 0, 10, 0), (11, 0, 10, 0),
        (0, 4, 10, 0.2), (3, 4, 10, 0.8), (4, 4, 10, 1), (7, 4, 10, 0.5), (10, 4, 10, 0),
        (0, 5, 3, 1 / 6), (2, 5, 3, 0.5), (5, 5, 5, 1), (0, 0, 1, 1), (0, 1, 1, 0.5),
    ],
)  # fmt: skip
def test_cosine_share(epoch: int, warmup: int, epochs: int, expected: float) -> None:
    assert cosine_share(epoch, warmup, epochs) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        (["optim._target_=torch.optim.NAdam"], "NAdam"),
        (["optim._target_=timm.optim.Lion", "optim.caution=true"], "Lion"),
        (["optim=timm", "optim.opt=lamb"], "Lamb"),
        (["optim=adamw", "optim.amsgrad=true"], "AdamW"),
    ],
)
def test_any_optimiser_of_torch_or_timm(overrides: Sequence[str], kind: str) -> None:
    optimizer = create_optimizer(compose_settings([*overrides, "optim.lr=0.02"]).optim, nn.Linear(3, 2))
    assert type(optimizer).__name__ == kind
    assert {group["lr"] for group in optimizer.param_groups} == {0.02}
    assert optimizer.param_groups[0].get("amsgrad", True) is True


def test_layer_decay_is_in_every_rate_of_every_epoch() -> None:
    network = timm.create_model("test_vit", num_classes=3)
    optim = compose_settings(["optim=timm", "optim.lr=0.1", "optim.layer_decay=0.5"]).optim
    scales = {
        name: group["lr_scale"]
        for group in param_groups_layer_decay(network, layer_decay=0.5)
        for name in [id(parameter) for parameter in group["params"]]
    }
    assert len(set(scales.values())) > 3
    optimizer = create_optimizer(optim, network)
    schedule = build(
        "schedule", compose_settings(["schedule=cosine"]).schedule, optimizer, context={"trainer": {"max_epochs": 4}}
    )
    for epoch in range(4):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                assert group["lr"] == pytest.approx(0.1 * scales[id(parameter)] * cosine_share(epoch, 1, 4), rel=1e-6)
            assert "lr_scale" not in group
        optimizer.step()
        schedule.step()
