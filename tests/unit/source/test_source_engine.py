"""What a stack makes of the source's behaviour: kept through starts, with --invalid-share beside the faults."""

import math
from pathlib import Path
from typing import Any, cast

import pytest

from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS
from scripts.source.behaviour import Behaviour
from scripts.stack.engine import Local
from scripts.stack.engines import source as embedded
from scripts.stack.settings import Settings
from tests.unit.source.served import call


def test_no_behaviour_makes_the_supervisor_restart_the_source(home: Path) -> None:
    configured = Settings(home=home)
    local = Local(configured, cast(Any, None), cast(Any, None), USERS)
    launches = embedded.configure(local).launches
    embedded.break_users(configured, 0.1)
    call("misbehave", "500=0.1")
    assert embedded.configure(local).launches == launches


def test_an_invalid_share_leaves_faults_and_single_kinds(home: Path) -> None:
    configured = Settings(home=home)
    call("misbehave", "500=0.1", "invalid=0.2", "invalid:uuid_null=0.5")
    kept: dict[str, Any] = {"faults": {"500": 0.1}, "invalid": {"uuid_null": 0.5}}
    assert embedded.behaviour(configured) == Behaviour(**kept, invalid_share=0.2)
    embedded.break_users(configured, 0.05)
    assert embedded.behaviour(configured) == Behaviour(**kept, invalid_share=0.05)
    embedded.break_users(configured, 0)
    assert embedded.behaviour(configured) == Behaviour(**kept)


@pytest.mark.parametrize("share", [0.6, 1.5, -0.1, math.nan])
def test_an_invalid_share_that_cannot_be_is_refused_and_changes_nothing(home: Path, share: float) -> None:
    call("misbehave", "invalid:uuid_null=0.5")
    configured = Settings(home=home)
    with pytest.raises(TerminalError, match=r"^--invalid-share \S+ can't be: the rates? of invalid") as refused:
        embedded.break_users(configured, share)
    assert "source misbehave" in refused.value.remedy
    assert embedded.behaviour(configured) == Behaviour(invalid={"uuid_null": 0.5})


@pytest.mark.parametrize(
    "text",
    [b"rubbish", b"", b"\xff", b"[]", b"7", b'{"faults": {"500": 2}}', b'{"invalid": {"no_such": 0.1}}', b'{"x": 1}'],
)
def test_an_invalid_share_on_a_behaviour_that_cannot_be_read_is_refused(home: Path, text: bytes) -> None:
    path = home / "conf" / "source.json"
    path.write_bytes(text)
    with pytest.raises(TerminalError, match=r"source\.json is not read: ") as refused:
        embedded.break_users(Settings(home=home), 0.1)
    assert refused.value.remedy == "./scripts/pipeline source behave writes it anew"
    assert path.read_bytes() == text


def test_a_stack_set_up_by_an_earlier_version_keeps_its_share(home: Path) -> None:
    (home / "conf" / "source.json").write_text('{"invalid_share": 0.05}')
    assert embedded.behaviour(Settings(home=home)) == Behaviour(invalid_share=0.05)
