"""The front of size, error and speed, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, BinaryIO

from .task import Recipe

FORMATS = ("png", "svg", "pdf")
_OFFSETS = tuple(
    (dx, dy) for r in (6, 14, 24, 36, 50) for dx, dy in ((r, r), (-r, r), (r, -r), (-r, -r), (r, 0), (-r, 0))
)


def draw_front(
    file: BinaryIO,
    format: str,
    *,
    title: str,
    batch: int,
    front: Sequence[Recipe],
    uniform: Mapping[str, Recipe],
    chosen: Recipe,
) -> None:
    """Draw error over bits per weight, both of whole models, with the time as the colour.

    Args:
        file: where to write.
        format: one of `FORMATS`.
        title: of the figure.
        batch: tokens per pass, which the times are for.
        front: the best choices for budgets, by size.
        uniform: recipes of one type everywhere, by its name.
        chosen: the recipe that is recommended.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PathCollection
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    points = [p for p in (*front, *uniform.values(), chosen) if p.error > 0]
    times = [1e3 * p.seconds for p in points]
    timed = bool(times) and min(times) > 0
    style: dict[str, Any] = {"cmap": "viridis_r", "norm": LogNorm(min(times), 1.001 * max(times)) if timed else None}

    def scatter(of: Sequence[Recipe], **more: Any) -> Any:
        seen = [p for p in of if p.error > 0]  # zero has no place on this axis
        return axes.scatter(
            [p.bpw for p in seen], [p.error for p in seen], c=[1e3 * p.seconds for p in seen], **style, **more
        )

    line = [p for p in front if p.error > 0]
    axes.plot([p.bpw for p in line], [p.error for p in line], color="0.6", linewidth=1, zorder=1)
    best = scatter(front, marker="o", s=34, zorder=3, label="best types for each size")
    scatter(list(uniform.values()), marker="s", s=30, zorder=2, edgecolors="0.3", label="one type everywhere")
    scatter([chosen], marker="*", s=260, zorder=5, edgecolors="crimson", linewidths=1.6, label="recommended")
    axes.set_yscale("log")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(2, subs=(1.0, 1.25, 1.5, 1.75)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("size, bits per weight of all tensors")
    axes.set_ylabel("relative squared error, mean over the quantized weights")
    axes.set_title(title)
    axes.grid(visible=True, which="both", color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    legend = axes.legend(loc="upper right", labelspacing=0.9)
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set(array=None, facecolor="0.8", sizes=[60])
    if timed:
        tokens = "1 token" if batch == 1 else f"{batch} tokens"
        bar = figure.colorbar(best, ax=axes, label=f"products in a pass of {tokens}, ms")
        bar.ax.yaxis.set_major_formatter("{x:.3g}")
        bar.ax.yaxis.set_minor_formatter("{x:.3g}")
    crowded = [(p.bpw, p.error) for p in points] + _between(line)
    _label(figure, axes, {name: (p.bpw, p.error) for name, p in uniform.items() if p.error > 0}, crowded)
    figure.savefig(file, format=format, dpi=150)


def _between(line: Sequence[Recipe]) -> list[tuple[float, float]]:
    """Places along a line through points, on axes that are logarithmic."""
    return [
        (p.bpw ** (1 - share) * q.bpw**share, p.error ** (1 - share) * q.error**share)
        for p, q in pairwise(line)
        for share in (0.2, 0.4, 0.6, 0.8)
    ]


def _label(
    figure: Any, axes: Any, names: Mapping[str, tuple[float, float]], crowded: Sequence[tuple[float, float]]
) -> None:
    """Write names beside their places, where they meet neither each other nor crowded places, if there is room."""
    figure.draw_without_rendering()  # places the axes
    renderer = figure.canvas.get_renderer()
    dots = [axes.transData.transform(place) for place in crowded]
    taken: list[Any] = []
    for name, place in sorted(names.items(), key=lambda item: item[1]):
        best: tuple[int, Any] | None = None
        for dx, dy in _OFFSETS:
            note = axes.annotate(
                name,
                place,
                (dx, dy),
                textcoords="offset points",
                ha="left" if dx > 0 else "right",
                va="center",
                fontsize=8,
                arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
                zorder=4,
            )
            text = _text_box(note, renderer)
            met = sum(text.overlaps(other) for other in taken) + sum(text.contains(*dot) for dot in dots)
            met += not (axes.bbox.x0 <= text.x0 and text.x1 <= axes.bbox.x1)
            if best is None or met < best[0]:
                if best is not None:
                    best[1].remove()
                best = met, note
            else:
                note.remove()
            if not met:
                break
        if best is not None:
            taken.append(_text_box(best[1], renderer))


def _text_box(note: Any, renderer: Any) -> Any:
    """The box of a label alone, without its line."""
    from matplotlib.text import Text

    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer).expanded(1.04, 1.1)
