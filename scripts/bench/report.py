"""The benchmark in words, figures and bars, and as JSON."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scripts.bench.bench import Benchmark, Result

# What the pipeline is to reach on two cores.
TARGETS = {"ratio": 0.6, "users a second": 7_000, "p95 seconds": 1.0, "CPU s per 100,000": 25.0, "GiB": 5.5e9 / 1024**3}


def as_json(done: Benchmark) -> dict[str, Any]:
    """Every figure; what is derived stands beside what it is derived from."""
    value = asdict(done)
    for name, result in (("pipeline", done.pipeline), ("baseline", done.baseline)):
        value[name]["median"] = {
            "users_a_second": result.median.rate,
            "hops": hops(result),
            "cpu_per_100k": result.median.cpu_per_100k,
            "memory": sum(result.median.memory.values()),
        }
    return {**value, "ratio": done.ratio}


def as_text(done: Benchmark) -> RenderableType:
    conditions = done.conditions
    head = Text(
        f"commit {done.commit}, {done.when}, {done.cores} cores, load {done.load_before:.1f} before\n"
        f"throughput: {conditions.runs} runs of {conditions.users:,} users of 1,080 bytes, pages of {conditions.page:,}"
        "; the median run in full\n"
        f"latency: pages of {conditions.latency_page}, one every {conditions.latency_interval * 1000:.0f} ms, "
        f"{done.pipeline.latency.pages} pages counted; from the HTTP response to the row that an outside poll sees\n"
    )
    return Group(head, _figures(done), Text(), _hops(done), Text(), _engines(done), Text(), _verdict(done))


def hops(result: Result) -> dict[str, float]:
    """hop -> users a second, from the first request until the hop had all of the median run."""
    return {hop: result.median.users / seconds for hop, seconds in result.median.seconds.items()}


def _figures(done: Benchmark) -> Table:
    table = Table("", "pipeline", "baseline", "ratio", box=None, pad_edge=False)

    def row(name: str, ours: float, theirs: float, form: str) -> None:
        table.add_row(name, format(ours, form), format(theirs, form), f"{ours / theirs:.2f}" if theirs else "")

    ours, theirs = done.pipeline, done.baseline
    row("users/s, median", ours.median.rate, theirs.median.rate, ",.0f")
    for number, (one, other) in enumerate(zip(ours.throughput, theirs.throughput, strict=True), 1):
        row(f"  run {number}", one.rate, other.rate, ",.0f")
    table.add_row("  load at its end", *(", ".join(f"{run.load:.1f}" for run in r.throughput) for r in (ours, theirs)))
    row("latency p50, s", ours.latency.p50, theirs.latency.p50, ".2f")
    row("latency p95, s", ours.latency.p95, theirs.latency.p95, ".2f")
    row("latency p99, s", ours.latency.p99, theirs.latency.p99, ".2f")
    row("  at users/s", ours.latency.users_a_second, theirs.latency.users_a_second, ",.0f")
    row("  load at its end", ours.latency.load, theirs.latency.load, ".1f")
    return table


def _hops(done: Benchmark) -> Table:
    table = Table("users/s until a hop had all", "", "", box=None, pad_edge=False)
    bars = [
        *((f"pipeline, {hop}", rate) for hop, rate in hops(done.pipeline).items()),
        *((f"baseline, {hop}", rate) for hop, rate in hops(done.baseline).items()),
        *((f"alone, {name}", rate) for name, rate in done.ceilings.items()),
    ]
    longest = max(rate for _, rate in bars)
    for name, rate in bars:
        table.add_row(name, f"{rate:,.0f}", Bar(longest, 0, rate, width=40))
    return table


def _engines(done: Benchmark) -> Table:
    table = Table("CPU s per 100,000 users", "pipeline", "baseline", "memory, MiB", box=None, pad_edge=False)
    ours, theirs = done.pipeline.median, done.baseline.median
    for engine in dict.fromkeys([*ours.cpu, *theirs.cpu]):
        table.add_row(
            engine,
            *(f"{run.cpu[engine] * 100_000 / run.users:.1f}" if engine in run.cpu else "" for run in (ours, theirs)),
            f"{ours.memory[engine] / 1024**2:,.0f}" if engine in ours.memory else "",
        )
    table.add_row(
        "in all", f"{ours.cpu_per_100k:.1f}", f"{theirs.cpu_per_100k:.1f}", f"{_mebibytes(ours.memory.values()):,.0f}"
    )
    return table


def _verdict(done: Benchmark) -> Text:
    ours = done.pipeline
    figures = {
        "ratio": (done.ratio, True),
        "users a second": (ours.median.rate, True),
        "p95 seconds": (ours.latency.p95, False),
        "CPU s per 100,000": (ours.median.cpu_per_100k, False),
        "GiB": (sum(ours.median.memory.values()) / 1024**3, False),
    }
    lines = []
    for name, (figure, at_least) in figures.items():
        target = TARGETS[name]
        reached = figure >= target if at_least else figure <= target
        wanted = f"{'at least' if at_least else 'at most'} {target:,.4g}"
        lines.append(f"{name}: {figure:,.4g}, {wanted}: {'reached' if reached else 'missed'}")
    lines.append("audit: it adds up" if not done.findings else f"audit: {'; '.join(done.findings)}")
    return Text("\n".join(lines))


def _mebibytes(sizes: Iterable[int]) -> float:
    return sum(sizes) / 1024**2
