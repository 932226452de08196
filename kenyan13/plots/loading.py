"""The figure of how fast epochs are by the number of processes that load images."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kenyan13.plots.style import HEAD, MARGIN, MARKERS, OURS, STUDY, panel, sheet, styled

WIDTH, HEIGHT, LEFT = 6.8, 4.2, 0.7  # inches


@styled
def worker_figure(
    workers: Sequence[int],
    seconds: Sequence[float | None],
    study: Sequence[float | None] | None = None,
    title: str = "",
) -> Figure:
    """Draw seconds an epoch over the number of loader processes, ours and the study's; None is left out."""
    lines = (("Ours", seconds, OURS, "-", 0), ("Study", study or [], STUDY, "--", 1))
    known = [
        (
            name,
            [(n, value) for n, value in zip(workers, values, strict=False) if value is not None],
            colour,
            style,
            mark,
        )
        for name, values, colour, style, mark in lines
    ]
    fastest = [
        f"{name}: fastest with {point[0]} process{'es' * (point[0] != 1)}, {point[1]:.3g} s an epoch"
        for name, points, *_ in known
        if points
        for point in [min(points, key=lambda point: point[1])]
    ]
    figure = sheet(WIDTH, HEIGHT, title, "; ".join(fastest) or "No values")
    axes = panel(figure, LEFT, 0.55, WIDTH - LEFT - 2 * MARGIN, HEIGHT - HEAD - 0.55)
    for name, points, colour, style, mark in known:
        if points:
            xs, ys = zip(*sorted(points), strict=True)
            axes.plot(xs, ys, color=colour, linestyle=style, marker=MARKERS[mark], markersize=5.5, label=name)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(16, integer=True, min_n_ticks=1))
    axes.set(xlabel="Loader worker processes", ylabel="Seconds an epoch")
    if fastest:
        axes.legend(loc="upper right")
    return figure
