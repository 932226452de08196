"""The command that finds a good learning rate in a minute of training: lr-find."""

from pathlib import Path
from typing import Annotated

import typer

from kenyan13.cli.app import Overrides, app, console, examples, output, print_next
from kenyan13.config.compose import compose_settings
from kenyan13.config.identity import run_name


@app.command("lr-find", epilog=examples("lr-find model=dinov2_small data=folder data.root=DIR", "lr-find freeze=pt2"))
def lr_find(
    given: Overrides = None,
    steps: Annotated[int, typer.Option(min=20, help="How many batches to train on, each at a higher rate.")] = 100,
    folder: Annotated[Path, output("The folder for plot and table.")] = Path("lr_find"),
) -> None:
    """Suggest a learning rate, by a minute of training.

    A new network trains at rates from 1e-6 to 1, and is thrown away. The suggestion is a tenth of the highest rate at
    which the loss, smoothed, was lowest. With rates by depth (optim.layer_decay), layers keep their shares of the rate.
    """
    from kenyan13.plots.saving import save_plot
    from kenyan13.plots.sweep import range_test_plot
    from kenyan13.training.rates import find_rate

    overrides = [word for word in given or [] if not word.startswith("optim.lr=")]
    settings = compose_settings(overrides)
    table, rate = find_rate(settings, steps)
    path = folder / run_name(settings)
    save_plot(path, range_test_plot, *(table[name].to_numpy() for name in table), rate)
    table.to_csv(path.with_suffix(".csv"), index=False)
    console.print(f"Suggested: optim.lr={rate:.1e}\n{path}.png\n{path}.csv")
    print_next(["kenyan13", "train", *overrides, f"optim.lr={rate:.1e}"])
