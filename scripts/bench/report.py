"""The benchmark in words, figures and bars, and as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scripts.bench.bench import Benchmark, Result, is_cold
from scripts.bench.measure import Latency

# What the pipeline is to reach on two cores: at least or at most so much.
AT_LEAST = {"users/s, ratio to the baseline": 0.85}
AT_MOST = {
    "CPU s per 100,000 users, ratio to the baseline": 1.35,
    "p95 s, warm": 0.2,
    "p95 s, cold, with Airflow": 0.5,
    "cores, without Airflow": 1.0,
    "cores, with Airflow": 1.2,
    "GiB, with Airflow": 5.4,
}


def as_json(done: Benchmark) -> dict[str, Any]:
    """Every figure; what is derived stands beside what it is derived from."""
    value = asdict(done)
    for name, result in _contenders(done).items():
        value[name]["median"] = {
            "users_a_second": result.median.rate,
            "hops": hops(result),
            "cpu_per_100k": result.median.cpu_per_100k,
            "memory": sum(result.median.memory.values()),
        }
        value[name]["latency"]["cores"] = result.latency.cores
    for name, late in (("cold", done.cold), ("with_airflow", done.with_airflow)):
        if late:
            value[name]["cores"] = late.cores
    return {**value, "ratios": ratios(done)}


def ratios(done: Benchmark) -> dict[str, dict[str, float]]:
    """Figure -> the pipeline's, as part of that of each contender beside it; all of this one run."""
    ours, others = figures(done.pipeline), {n: figures(r) for n, r in _contenders(done).items() if n != "pipeline"}
    return {
        figure: {name: ours[figure] / theirs[figure] for name, theirs in others.items() if theirs[figure]}
        for figure in ours
    }


def figures(result: Result) -> dict[str, float]:
    """What contenders are held against each other by."""
    late = result.latency
    return {
        "users/s, median": result.median.rate,
        "latency p50, s": late.p50,
        "latency p95, s": late.p95,
        "latency p99, s": late.p99,
        "CPU s per 100,000 users": result.median.cpu_per_100k,
        "cores": sum(late.cores.values()),
    }


def hops(result: Result) -> dict[str, float]:
    """hop -> users a second, from the first request until the hop had all of the median run."""
    return {hop: result.median.users / seconds for hop, seconds in result.median.seconds.items()}


def as_text(done: Benchmark) -> RenderableType:
    parts: list[RenderableType] = [_head(done), _figures(done), _latencies(done), _hops(done), _engines(done)]
    return Group(*(line for part in parts for line in (part, Text())), _verdict(done))


def _contenders(done: Benchmark) -> dict[str, Result]:
    """As the JSON names them; the pipeline first."""
    found = {"pipeline": done.pipeline, "baseline": done.baseline}
    return {**found, "peer": done.peer} if done.peer else found


def _titles(done: Benchmark) -> list[str]:
    return [done.peer_title if name == "peer" else name for name in _contenders(done)]


def _head(done: Benchmark) -> Text:
    conditions = done.conditions
    return Text(
        f"commit {done.commit}, {done.when}, {done.cores} cores, load {done.load_before:.1f} before, "
        f"lane {done.lane}\n"
        f"throughput: {conditions.runs} runs of {conditions.users:,} users of 1,080 bytes, pages of {conditions.page:,}"
        "; the median run in full\n"
        f"latency: pages of {conditions.latency_page}, one every {conditions.latency_interval * 1000:.0f} ms, "
        f"{done.pipeline.latency.pages} pages counted; from the HTTP response to the row that an outside poll sees"
    )


def _figures(done: Benchmark) -> Table:
    """The contenders, all warm and without Airflow, and the pipeline's ratio to each of the others."""
    results, held = list(_contenders(done).values()), ratios(done)
    ours, *others = _titles(done)
    columns = [column for title in others for column in (title, "ratio")]
    table = Table("warm, without Airflow", ours, *columns, box=None, pad_edge=False)

    def row(name: str, cells: list[str], beside: Iterable[str] | None = None) -> None:
        ratio = list(beside or [""] * (len(cells) - 1))
        table.add_row(name, cells[0], *(cell for pair in zip(cells[1:], ratio, strict=True) for cell in pair))

    pace = done.conditions.latency_page / done.conditions.latency_interval
    for figure in figures(done.pipeline):
        name = f"cores at {pace:,.0f} users/s" if figure == "cores" else figure
        form = ",.0f" if figure.startswith("users/s") else ".1f" if figure.startswith("CPU") else ".3f"
        told = [f"{held[figure][other]:.2f}" if other in held[figure] else "" for other in list(_contenders(done))[1:]]
        row(name, [format(figures(result)[figure], form) for result in results], told)
    for number in range(done.conditions.runs):
        row(f"  users/s, run {number + 1}", [f"{result.throughput[number].rate:,.0f}" for result in results])
    row("  load at the end of each", [", ".join(f"{run.load:.1f}" for run in r.throughput) for r in results])
    return table


def _latencies(done: Benchmark) -> Group:
    """Each latency run: when, with what beside it, and what it cost."""
    names = ("", "p50, s", "p95, s", "p99, s", "longest, s", "users/s", "cores", "GiB", "polls within, s", "load")
    table = Table(*names, box=None, pad_edge=False)
    for name, late in _paced(done):
        cells = (late.p50, late.p95, late.p99, late.longest)
        table.add_row(
            name,
            *(f"{seconds:.3f}" for seconds in cells),
            f"{late.users_a_second:,.0f}",
            f"{sum(late.cores.values()):.2f}",
            f"{_gibibytes(late):.1f}",
            f"{late.poll:.3f}",
            f"{late.load:.1f}",
        )
    return Group(table, Text(_age(done)))


def _paced(done: Benchmark) -> Iterator[tuple[str, Latency]]:
    if done.cold:
        yield f"pipeline, cold, {_beside(done)}", done.cold
    if done.with_airflow:
        yield "pipeline, warm, with Airflow", done.with_airflow
    for title, result in zip(_titles(done), _contenders(done).values(), strict=True):
        yield f"{title}, warm, without Airflow", result.latency


def _beside(done: Benchmark) -> str:
    return "with Airflow" if done.airflow else "without Airflow"


def _age(done: Benchmark) -> str:
    youngest, oldest = (pick(done.ages, key=lambda name: done.ages[name]) for pick in (min, max))
    ages = f"{youngest} ran for {done.ages[youngest]:.0f} s, {oldest} for {done.ages[oldest]:.0f} s"
    if is_cold(done.ages, done.conditions):
        return f"cold: when the benchmark began, {ages}"
    limit = done.conditions.cold_age
    return f"cold: not measured, since {ages}; it is within {limit:.0f} s of ./scripts/run"


def _hops(done: Benchmark) -> Table:
    table = Table("users/s until a hop had all", "", "", box=None, pad_edge=False)
    bars = [
        (f"{title}, {hop}", rate)
        for title, result in zip(_titles(done), _contenders(done).values(), strict=True)
        for hop, rate in hops(result).items()
    ]
    bars += [(f"alone, {name}", rate) for name, rate in done.ceilings.items()]
    longest = max(rate for _, rate in bars)
    for name, rate in bars:
        table.add_row(name, f"{rate:,.0f}", Bar(longest, 0, rate, width=40))
    return table


def _engines(done: Benchmark) -> Table:
    """By engine: what 100,000 users cost at full load, and how many cores are busy at the pace of the latency run."""
    results = list(_contenders(done).values())
    full = [{name: spent * 100_000 / r.median.users for name, spent in r.median.cpu.items()} for r in results]
    slow = [result.latency.cores for result in results]
    if done.with_airflow:
        slow.append(done.with_airflow.cores)
    memory = {engine: size / 1024**2 for engine, size in done.pipeline.median.memory.items()}
    titles = [
        *(f"{title}, CPU s per 100,000" for title in _titles(done)),
        *(f"{title}, cores" for title in _titles(done)),
        *(["pipeline with Airflow, cores"] if done.with_airflow else []),
        "pipeline, MiB",
    ]
    table = Table("engine", *titles, box=None, pad_edge=False)
    columns = [*((column, ".1f") for column in full), *((column, ".2f") for column in slow), (memory, ",.0f")]
    names = dict.fromkeys(name for column, _ in columns for name in column)
    for name in (n for n in names if any(column.get(n, 0) for column, _ in columns)):
        table.add_row(name, *(_cell(column, name, form) for column, form in columns))
    table.add_row("in all", *(format(sum(column.values()), form) for column, form in columns))
    return table


def _cell(column: Mapping[str, float], name: str, form: str) -> str:
    return format(column[name], form) if column.get(name) else ""


def _verdict(done: Benchmark) -> Text:
    lines = []
    for name, figure in _reached(done).items():
        target, least = (AT_LEAST[name], True) if name in AT_LEAST else (AT_MOST[name], False)
        reached = figure >= target if least else figure <= target
        wanted = f"{'at least' if least else 'at most'} {target:.4g}"
        lines.append(f"{name}: {figure:.4g}, {wanted}: {'reached' if reached else 'missed'}")
    lines.append("audit: it adds up" if not done.findings else f"audit: {'; '.join(done.findings)}")
    return Text("\n".join(lines))


def _reached(done: Benchmark) -> dict[str, float]:
    """What was measured of what is to be reached."""
    held = ratios(done)
    found = {
        "users/s, ratio to the baseline": held["users/s, median"]["baseline"],
        "CPU s per 100,000 users, ratio to the baseline": held["CPU s per 100,000 users"]["baseline"],
        "p95 s, warm": done.pipeline.latency.p95,
        "cores, without Airflow": sum(done.pipeline.latency.cores.values()),
    }
    if done.cold and done.airflow:
        found["p95 s, cold, with Airflow"] = done.cold.p95
    if done.with_airflow:
        found["cores, with Airflow"] = sum(done.with_airflow.cores.values())
        found["GiB, with Airflow"] = _gibibytes(done.with_airflow)
    return found


def _gibibytes(late: Latency) -> float:
    return sum(late.memory.values()) / 1024**3
