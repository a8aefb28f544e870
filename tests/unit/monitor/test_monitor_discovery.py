"""Areas are found by their files: one more file, and its table of thresholds, is all that one more area takes."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS
from scripts.bootstrap import ROOT
from scripts.monitor import areas, deploys, monitor, report, thresholds
from scripts.monitor.area import Area, Judgement
from scripts.monitor.areas import AREAS, AnyArea, chains, discovered, ordered
from scripts.monitor.deploys import Deploys
from scripts.stack import configuration
from scripts.stack.settings import Settings

DISK = """
from dataclasses import dataclass
from datetime import datetime

import msgspec

from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.ranges import Count


class DiskLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    least_bytes: Count


@dataclass(frozen=True)
class DiskMemory:
    free: int


def read(context: ReadContext[DiskLimits, DiskMemory]) -> int:
    return int((context.settings.home / "free").read_text())


def judge(free: int, context: JudgeContext[DiskLimits, DiskMemory]) -> Judgement:
    change = free - context.memory.free if context.memory else 0
    judgement = Judgement(figures={"free": free, "more than before": change})
    if free < context.limits.least_bytes:
        judgement.trouble.append(f"{free} bytes are free, fewer than {context.limits.least_bytes}")
    return judgement


def remember(free: int, now: datetime) -> DiskMemory:
    return DiskMemory(free)


AREA = Area(
    meaning="there is room on the disk",
    order=65,
    limits=DiskLimits,
    memory=DiskMemory,
    read=read,
    judge=judge,
    remember=remember,
)
"""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The monitor with an area more, of a file in a folder of its own, and settings of a home that nothing runs in."""
    package = tmp_path / "more_areas"
    package.mkdir()
    (package / "example.py").write_text(DISK)
    monkeypatch.syspath_prepend(str(tmp_path))
    more = discovered([str(package)], package.name)
    assert list(more) == ["example"]
    others = {name: replace(area, read=lambda context: missing()) for name, area in AREAS.items()}
    monkeypatch.setattr(areas, "AREAS", ordered({**others, **more}))
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(deploys, "read", lambda settings: Deploys())
    settings = configuration.load()
    settings.home.mkdir()
    return settings


def missing() -> Any:
    raise TerminalError("nothing is set up")


def test_a_file_more_is_an_area_more(disk: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert list(areas.AREAS)[list(areas.AREAS).index("example") + 1] == "alerts", "in its order"
    assert ["example"] in chains(), "read on its own"

    text = thresholds.FILE.read_text()
    path = tmp_path / "thresholds.toml"
    path.write_text(text)
    with pytest.raises(TerminalError, match="example"):
        thresholds.load(path)
    path.write_text(f"{text}\n[example]\nleast_bytes = 0\n")
    with pytest.raises(TerminalError, match=r"example\.least_bytes"):
        thresholds.load(path)
    path.write_text(f"{text}\n[example]\nleast_bytes = 100\n")
    limits = thresholds.load(path)
    monkeypatch.setattr(thresholds, "load", lambda: limits)

    (disk.home / "free").write_text("90")
    first = monitor.look(disk, USERS)
    (disk.home / "free").write_text("97")
    second = monitor.look(disk, USERS)
    assert [look.checks["example"].verdict for look in (first, second)] == ["suspect", "ill"]
    assert second.checks["example"].says == ["97 bytes are free, fewer than 100"]
    assert second.checks["example"].figures == {"free": 97, "more than before": 7}
    assert json.loads((disk.home / "monitor" / "record.json").read_bytes())["memory"] == {"example": {"free": 97}}
    assert "97 bytes are free" in report.markdown(second.as_json())
    (disk.home / "free").write_text("none")
    assert monitor.look(disk, USERS).memory == {"example": {"free": 97}}, "kept until it can be read again"


def test_the_areas_of_the_product_are_read_in_chains() -> None:
    assert ["nifi", "flow", "drift"] in chains()
    assert ["consumer", "dead_letters", "freshness"] in chains()
    assert list(AREAS) == [name for chain in chains() for name in chain]


def test_the_document_has_a_row_for_each_area() -> None:
    page = Path(ROOT, "airflow", "README.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(AREAS)


def area(order: int, after: str | None = None) -> AnyArea:
    return Area(
        meaning="", order=order, after=after, read=lambda context: None, judge=lambda reading, context: Judgement()
    )


def test_an_area_that_is_after_none_of_those_before_it_is_refused() -> None:
    with pytest.raises(ValueError, match="later is after"):
        ordered({"sooner": area(2), "later": area(1, after="sooner")})
    with pytest.raises(ValueError, match="nobody"):
        ordered({"one": area(1, after="nobody")})
    assert list(ordered({"b": area(1), "a": area(1), "c": area(0)})) == ["c", "a", "b"]
