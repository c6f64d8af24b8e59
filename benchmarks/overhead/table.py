"""Paired differences, their intervals, ratios and tables."""

from __future__ import annotations

from math import sqrt
from statistics import median

from benchmarks.overhead.rounds import Cost
from benchmarks.overhead.traffic import CHUNKS, FEATURES, PAYLOADS
from benchmarks.overhead.variants import VARIANTS

Costs = dict[tuple[str, str], list[Cost]]
"""(variant, payload) to its cost, one a round."""

HEADS = ("loop", "total")
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
    return [_less(ours, bare) for ours, bare in pairs]


def least(costs: Costs) -> dict[tuple[str, str], Cost]:
    """What each variant adds at its best: the burst of the loop, and the round of the process, that took the least of
    all, less those of ``bare``.

    With enough of them each variant has one in which nothing else ran and the core had its full clock. The more the
    machine is in use, the further the medians lie from that, and their ratios from the true ones.
    """
    best = {}
    for key, found in costs.items():
        loop, total = min(cost.least for cost in found), min(cost.total for cost in found)
        best[key] = Cost(loop, total, loop)
    return {key: _less(spent, best["bare", key[1]]) for key, spent in best.items() if key[0] != "bare"}


def _less(ours: Cost, bare: Cost) -> Cost:
    return Cost(*(mine - theirs for mine, theirs in zip(ours, bare, strict=True)))


def _payloads(costs: Costs) -> list[str]:
    """That were measured, in their order."""
    return [payload for payload in PAYLOADS if ("bare", payload) in costs]


def _rows(costs: Costs, found: dict[tuple[str, str], Cost]) -> list[tuple[str, list[float]]]:
    payloads = _payloads(costs)
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
    lines += _lines(costs, added(costs))
    lines.append("95 % intervals on the event loop")
    ranges = intervals(costs)
    for name, _ in _rows(costs, added(costs)):
        cells = ["{:.1f} to {:.1f}".format(*ranges[name, payload]) for payload in payloads]
        lines.append(f"{name:<36}{''.join(f'{cell:>20}' for cell in cells)}")
    lines.append("the least of all bursts, and of all rounds, less the least of the unmonitored application's")
    lines += _lines(costs, least(costs))
    return "\n".join(lines)


def _lines(costs: Costs, found: dict[tuple[str, str], Cost]) -> list[str]:
    half = len(_payloads(costs))
    cells = [(name, [f"{figure:9.1f}" for figure in figures]) for name, figures in _rows(costs, found)]
    return [f"{name:<36}{''.join(each[:half])}   {''.join(each[half:])}" for name, each in cells]


def markdown(framework: str, costs: Costs) -> str:
    names = _payloads(costs)
    lines = [
        f"| added to a request on {framework}, µs of CPU | "
        + " | ".join(
            f"{head}, {name}" for head in ("loop", "total", "loop at its least", "total at its least") for name in names
        )
        + " |",
        "|---|" + "---:|" * (4 * len(names)),
    ]
    best = dict(_rows(costs, least(costs)))
    for name, figures in _rows(costs, added(costs)):
        cells = [f"{figure:,.1f}" for figure in (*figures, *best[name])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def ratios(costs: Costs) -> str:
    """The two comparisons that matter, within one run."""
    payloads, lines = _payloads(costs), []
    for ours in ("mlmon, tap alone", "mlmon, everything on"):
        for other in ("minimal capture", "prometheus-fastapi-instrumentator"):
            if (ours, payloads[0]) not in costs or (other, payloads[0]) not in costs:
                continue
            for how, found in (("", added(costs)), (" at its least", least(costs))):
                for head in HEADS if "everything" in ours else HEADS[:1]:
                    cells = [
                        f"{payload} {getattr(found[ours, payload], head) / getattr(found[other, payload], head):.3f}"
                        for payload in payloads
                    ]
                    lines.append(f"{ours} / {other}, {head}{how}: {', '.join(cells)}")
    return "\n".join(lines)


def profile_text(profile: dict[str, float]) -> str:
    lines = [
        "\neverything on, where a row's CPU goes (microseconds a request, sampled; the sampler slows all a little)"
    ]
    lines += [f"{spent:9.1f}  {stage}" for stage, spent in profile.items() if spent >= 0.05]
    return "\n".join(lines)
