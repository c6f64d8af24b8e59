"""Paired differences, their intervals, ratios and tables."""

from __future__ import annotations

from math import sqrt
from statistics import median

from benchmarks.overhead.rounds import Cost
from benchmarks.overhead.traffic import CHUNKS, FEATURES, PAYLOADS
from benchmarks.overhead.variants import VARIANTS

Costs = dict[tuple[str, str], list[Cost]]
"""(variant, payload) to its cost, one a round."""

HEADS = ("loop", "total")  # by their medians
KILOBYTES = len(PAYLOADS["batch"].body) / 1000


def added(costs: Costs) -> dict[tuple[str, str], Cost]:
    """What each variant adds to ``bare``: the median over the rounds of the difference within one round.

    What slows the machine for a while slows both of a round, and leaves their difference.
    """
    return {key: Cost(*map(median, zip(*_differences(costs, key), strict=True))) for key in costs if key[0] != "bare"}


def intervals(costs: Costs) -> dict[tuple[str, str], tuple[float, float]]:
    """The 95 % interval of that median on the loop: order statistics, whatever the distribution (Conover, 3.2)."""
    found = {}
    for key in costs:
        if key[0] != "bare":
            loop = sorted(cost.loop for cost in _differences(costs, key))
            low = max(0, int(len(loop) / 2 - 0.98 * sqrt(len(loop))))
            found[key] = loop[low], loop[-1 - low]
    return found


def _differences(costs: Costs, key: tuple[str, str]) -> list[Cost]:
    pairs = zip(costs[key], costs["bare", key[1]], strict=True)
    return [Cost(*(mine - theirs for mine, theirs in zip(ours, bare, strict=True))) for ours, bare in pairs]


def least(costs: Costs) -> dict[tuple[str, str], float]:
    """What each variant adds on the loop at its best: the burst that took the least of all, less that of ``bare``.

    With enough bursts each variant has one in which nothing else ran and the core had its full clock. The more the
    machine is in use, the further the medians lie from that, and their ratios from the true ones.
    """
    best = {key: min(cost.least for cost in found) for key, found in costs.items()}
    return {key: spent - best["bare", key[1]] for key, spent in best.items() if key[0] != "bare"}


def _payloads(costs: Costs) -> list[str]:
    """That were measured, in their order."""
    return [payload for payload in PAYLOADS if ("bare", payload) in costs]


def _rows(costs: Costs) -> list[tuple[str, list[float]]]:
    found, payloads = added(costs), _payloads(costs)
    return [
        (name, [getattr(found[name, payload], head) for head in HEADS for payload in payloads])
        for name in VARIANTS
        if (name, payloads[0]) in found
    ]


def text(framework: str, costs: Costs) -> str:
    payloads = _payloads(costs)
    width = 9 * len(payloads)
    columns = "".join(f"{payload:>9}" for payload in payloads)
    lines = [
        f"\n{framework}: microseconds of CPU added to a request",
        f"row: 10 features; batch: 16 rows of {FEATURES}, {KILOBYTES:.0f} KB of JSON; stream: {CHUNKS} chunks",
        f"{'':<36}{'event loop':>{width}}   {'whole process':>{max(width, 13)}}",
        f"{'':<36}{columns}   {columns}",
    ]
    for name, figures in _rows(costs):
        cells = [f"{figure:9.1f}" for figure in figures]
        lines.append(f"{name:<36}{''.join(cells[: len(payloads)])}   {''.join(cells[len(payloads) :])}")
    lines.append("95 % intervals on the event loop")
    ranges = intervals(costs)
    for name, _ in _rows(costs):
        cells = ["{:.1f} to {:.1f}".format(*ranges[name, payload]) for payload in payloads]
        lines.append(f"{name:<36}{''.join(f'{cell:>20}' for cell in cells)}")
    lines.append("event loop, the least of all bursts less the least of the unmonitored application's")
    lowest = least(costs)
    for name, _ in _rows(costs):
        lines.append(f"{name:<36}{''.join(f'{lowest[name, payload]:9.2f}' for payload in payloads)}")
    return "\n".join(lines)


def markdown(framework: str, costs: Costs) -> str:
    names = _payloads(costs)
    lines = [
        f"| added to a request on {framework}, µs of CPU | "
        + " | ".join(f"{head}, {name}" for head in ("loop", "total", "loop at its least") for name in names)
        + " |",
        "|---|" + "---:|" * (3 * len(names)),
    ]
    lowest = least(costs)
    for name, figures in _rows(costs):
        cells = [f"{figure:,.1f}" for figure in figures] + [f"{lowest[name, payload]:,.2f}" for payload in names]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def ratios(costs: Costs) -> str:
    """The two comparisons that matter, within one run."""
    found, lowest, payloads = added(costs), least(costs), _payloads(costs)
    lines = []
    for ours in ("mlmon, tap alone", "mlmon, everything on"):
        for other in ("minimal capture", "prometheus-fastapi-instrumentator"):
            if (ours, payloads[0]) not in found or (other, payloads[0]) not in found:
                continue
            for head in HEADS if "everything" in ours else HEADS[:1]:
                cells = [
                    f"{payload} {getattr(found[ours, payload], head) / getattr(found[other, payload], head):.3f}"
                    for payload in payloads
                ]
                lines.append(f"{ours} / {other}, {head}: {', '.join(cells)}")
            cells = [f"{payload} {lowest[ours, payload] / lowest[other, payload]:.3f}" for payload in payloads]
            lines.append(f"{ours} / {other}, loop at its least: {', '.join(cells)}")
    return "\n".join(lines)


def profile_text(profile: dict[str, float]) -> str:
    lines = [
        "\neverything on, where a row's CPU goes (microseconds a request, sampled; the sampler slows all a little)"
    ]
    lines += [f"{spent:9.1f}  {stage}" for stage, spent in profile.items() if spent >= 0.05]
    return "\n".join(lines)
