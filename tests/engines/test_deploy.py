"""Versions of the flow on a real NiFi while records pass: deployed, drifted from, brought back, and nothing lost."""

import difflib
import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import nipyapi
import pytest

from nifi_flows import canvas, connection
from nifi_flows.deploy import Deployment
from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS
from scripts.deployment import local_nifi, service, state
from scripts.deployment.context import Context
from scripts.observe import pull_run, topics
from scripts.stack import credentials
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor
from tests.engines import versions
from tests.engines.conftest import LocalStack, until
from tests.engines.hand_written import PAGE
from tests.engines.test_end_to_end import serving

_EVERY = 0.5  # seconds from page to page
_SIZE = 100  # users a page: 200 a second


@contextmanager
def load(stack: LocalStack, seed: str) -> Iterator[None]:
    """200 users a second; at the end the run comes to rest, and everything has to add up."""
    every, size = str(_EVERY), str(_SIZE)
    stack.run("--source", "embedded", "--seed", seed, "--pages", "0", "--page-size", size, "--interval", every)
    try:
        yield
    finally:
        made = credentials.ensure(stack.settings.secrets)
        cursor = pull_run.read(nifi_of(stack.settings, made), USERS).cursor
        assert cursor
        stack.run("--pages", str(cursor.next_page + 2))
    assert stack.audit()["findings"] == []


@contextmanager
def canvas_of(stack: LocalStack) -> Iterator[str]:
    """The flow's group, to work on as somebody does at the canvas."""
    with connection.connected(nifi_of(stack.settings, credentials.ensure(stack.settings.secrets))):
        group = canvas.find_group(USERS.name)
        assert group
        yield group


def edit(group: str, name: str, **settings: Any) -> None:
    """Change a processor's settings by hand."""
    processor = next(p for p in canvas.processors(group) if p.component.name == name)
    nipyapi.canvas.update_processor(processor, nipyapi.nifi.ProcessorConfigDTO(**settings), auto_stop=True)


def stop(group: str, name: str) -> None:
    processor = next(p for p in canvas.processors(group) if p.component.name == name)
    assert nipyapi.canvas.schedule_processor(processor.id, False)


def pause(stack: LocalStack, since: float) -> float:
    """The longest time without a page since then, in seconds."""
    stamps = sorted(m.at / 1000 for m in topics.read(stack.settings, USERS.pages))
    return max(after - before for before, after in pairwise(stamp for stamp in stamps if stamp > since - 2 * _EVERY))


@pytest.fixture(autouse=True)
def as_it_was(stack: LocalStack) -> Iterator[None]:
    """The version of this source tree runs before each test and after it."""
    service.deploy(versions.context(stack))
    yield
    service.deploy(versions.context(stack))
    assert state.drift(versions.context(stack)) == []


def test_what_is_on_the_canvas_is_what_is_in_git(stack: LocalStack) -> None:
    assert state.export(versions.context(stack)) == USERS.flow.read_text()
    assert stack.pipeline("flow", "export", "--check").code == 0
    assert stack.pipeline("flow", "drift").code == 0


def test_an_edit_by_hand_is_told_in_the_lines_that_say_it_saved_and_healed(stack: LocalStack) -> None:
    with load(stack, f"edited {time.time_ns()}"):
        with canvas_of(stack) as group:
            edit(group, "Fetch page", penalty_duration="7 sec")
            stop(group, "Publish users")
        lines = difflib.ndiff(USERS.flow.read_text().splitlines(), state.export(versions.context(stack)).splitlines())
        assert [line.split() for line in lines if line[0] in "+-"] == [
            ["-", '"penaltyDuration":', '"1', 'sec",'],
            ["+", '"penaltyDuration":', '"7', 'sec",'],
        ]
        assert stack.pipeline("flow", "export", "--check").code == 1
        drifted = stack.pipeline("flow", "drift")
        assert drifted.code == 1
        assert "7 sec" in drifted.out and "'Publish users' is stopped" in drifted.out

        said: list[str] = []
        done = service.redeploy(versions.context(stack, report=said.append))
        assert done.changes
        assert state.drift(versions.context(stack)) == []
        saved = Path(next(line for line in said if line.startswith("saved")).partition(": ")[2])
        assert "7 sec" in (saved / "diff.md").read_text()
        assert '"7 sec"' in (saved / "flow.json").read_text()


def test_ten_versions_in_a_row_lose_nothing(stack: LocalStack, tmp_path: Path) -> None:
    changes = [versions.other_comment] * 8 + [versions.optional_field, versions.other_code]
    pauses = []
    with load(stack, f"ten versions {time.time_ns()}"):
        for number, change in enumerate(changes):
            begun = time.time()
            done = service.deploy(versions.context(stack, versions.tree(tmp_path / str(number), change)))
            time.sleep(3 * _EVERY)
            pauses.append((change.__name__, round(pause(stack, begun), 1)))
            assert done.version == state.deployed(versions.context(stack)).version  # type: ignore[union-attr]
            assert state.drift(versions.context(stack)) == []
    print("longest time without a page, in seconds:", pauses)
    rows = {event.version for event in state.history(versions.context(stack)) if event.ok}
    assert len(rows) >= 10


def test_deploying_what_runs_changes_nothing_and_a_plan_does_neither(stack: LocalStack, tmp_path: Path) -> None:
    assert service.deploy(versions.context(stack)).changes == []
    tree = versions.tree(tmp_path / "tree", versions.other_comment, versions.other_code)
    planned = service.plan(versions.context(stack, tree))
    assert any("restarts NiFi" in line for line in planned.lines())
    assert any("replace the flow in place" in line for line in planned.lines())
    assert state.drift(versions.context(stack)) == []
    dry = stack.pipeline("flow", "deploy", "--dry-run")
    assert (dry.code, dry.out.strip()) == (0, "nothing to change")


def test_rollback_brings_the_version_before_it(stack: LocalStack, tmp_path: Path) -> None:
    before = state.deployed(versions.context(stack))
    assert before
    after = service.deploy(versions.context(stack, versions.tree(tmp_path / "tree", versions.other_comment)))
    assert after.version != before.version
    assert service.rollback(versions.context(stack)).version == before.version
    with canvas_of(stack) as group:
        assert canvas.parameters(group)["flow.version"] == before.version


def test_versions_that_cannot_run_are_rolled_back_by_themselves(stack: LocalStack, tmp_path: Path) -> None:
    before = state.deployed(versions.context(stack))
    assert before
    with load(stack, f"rolled back {time.time_ns()}"):
        for change, complaint in (
            (versions.never_valid, "'NeverValid' is not valid"),
            (versions.takes_nothing, "no record passed"),
        ):
            with pytest.raises(TerminalError, match=complaint) as refused:
                service.deploy(versions.context(stack, versions.tree(tmp_path / change.__name__, change)))
            assert f"version {before.version} runs again" in str(refused.value)
            assert state.drift(versions.context(stack)) == []
            with canvas_of(stack) as group:
                assert not any(part.ghost for part in canvas.parts(group))
            assert state.deployed(versions.context(stack)).version == before.version  # type: ignore[union-attr]
            assert not state.history(versions.context(stack))[-1].ok


def test_services_are_enabled_before_what_needs_them(stack: LocalStack, tmp_path: Path) -> None:
    service.deploy(versions.context(stack, versions.tree(tmp_path / "tree", versions.with_service)))
    with canvas_of(stack) as group:
        assert [part.state for part in canvas.parts(group) if part.service] == ["ENABLED"]
        services = nipyapi.nifi.ActivateControllerServicesEntity(id=group, state="DISABLED")
        nipyapi.nifi.FlowApi().activate_controller_services(services, group)
    assert any("'Users as JSON' is disabl" in line for line in state.drift(versions.context(stack)))
    service.redeploy(versions.context(stack))
    assert state.drift(versions.context(stack)) == []


@pytest.mark.parametrize("mend", [service.deploy, service.redeploy])
def test_a_processor_file_that_was_edited_is_drift_made_anew_and_loaded_again(
    stack: LocalStack, mend: Callable[[Context], Deployment]
) -> None:
    loaded = stack.settings.home / "nifi_extensions" / "pull_run.py"
    loaded.write_text(loaded.read_text() + "\n# by hand\n")
    edited = ["processor file pull_run.py was changed"]
    assert state.drift(versions.context(stack)) == edited
    assert service.plan(versions.context(stack)).reload
    assert state.drift(versions.context(stack)) == edited, "a plan changes nothing"
    assert mend(versions.context(stack)).changes[0] == "loaded the processors"
    assert state.drift(versions.context(stack)) == []
    assert "by hand" not in loaded.read_text()


def test_the_flow_comes_up_on_one_core(stack: LocalStack) -> None:
    """NiFi's Python gateway needs more carrier threads than such a machine gives a JVM by itself."""
    launch_file = stack.settings.run / "nifi.json"
    written = launch_file.read_text()
    plan = json.loads(written)
    plan["environment"]["JAVA_TOOL_OPTIONS"] = "-XX:ActiveProcessorCount=1"
    launch_file.write_text(json.dumps(plan))
    try:
        Supervisor(stack.settings).restart_engine("nifi")
        local_nifi.of(versions.context(stack)).awake(60)
        with canvas_of(stack) as group:
            assert canvas.settled(group, 60) == []
        assert state.drift(versions.context(stack)) == []
    finally:
        launch_file.write_text(written)
        Supervisor(stack.settings).restart_engine("nifi")
        stack.run()


def test_a_group_that_was_renamed_is_not_imported_a_second_time(stack: LocalStack) -> None:
    with canvas_of(stack) as group:
        nipyapi.canvas.update_process_group(nipyapi.canvas.get_process_group(group, "id"), {"name": "mine"})
    try:
        with pytest.raises(TerminalError, match="is called 'mine' now"):
            service.redeploy(versions.context(stack))
    finally:
        with connection.connected(nifi_of(stack.settings, credentials.ensure(stack.settings.secrets))):
            nipyapi.canvas.update_process_group(nipyapi.canvas.get_process_group(group, "id"), {"name": "users"})
    assert state.drift(versions.context(stack)) == []


def test_an_incompatible_schema_stops_the_deploy_before_anything_is_touched(stack: LocalStack, tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="refuses the schema"):
        service.deploy(versions.context(stack, versions.tree(tmp_path / "tree", versions.required_field)))
    assert state.drift(versions.context(stack)) == []
    assert state.unfinished(versions.context(stack)) is None


def test_who_holds_the_flow_keeps_the_others_out(stack: LocalStack) -> None:
    assert stack.pipeline("flow", "hold", "--why", "trying another page size").code == 0
    try:
        other = LocalStack({**stack.environment, "PIPELINE_ACTOR": "airflow"})
        refused = other.pipeline("flow", "redeploy")
        assert refused.code == 1
        assert "holds the flow" in refused.err and "trying another page size" in refused.err
        assert "trying another page size" in stack.pipeline("flow", "status").out
    finally:
        assert stack.pipeline("flow", "release").code == 0
    assert other.pipeline("flow", "redeploy").code == 0


def test_a_secret_reaches_the_source_is_told_to_nobody_and_is_set_again_when_it_changes(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = versions.tree(tmp_path / "tree", versions.with_password)
    said: list[str] = []
    with serving([(200, {}, json.dumps(PAGE).encode())]) as (url, asked):
        source = {"source.url": url, "source.name": "guarded", "run.page.size": str(len(PAGE["results"]))}
        for number, secret in enumerate(["first-t0ken", "second-t0ken"], 1):
            monkeypatch.setenv("PIPELINE_PARAMETER_SOURCE_TOKEN", secret)
            more = {**source, "run.seed": f"guarded {time.time_ns()}", "run.pages": "1"}
            service.deploy(versions.context(stack, tree, said.append), overrides=more)
            until(lambda: asked[number - 1 :], 30)  # noqa: B023 - called in this turn alone
            assert asked[-1].authorization == f"Basic {b64encode(f'pipeline:{secret}'.encode()).decode()}"
            assert service.deploy(versions.context(stack, tree)).changes == []
            assert state.drift(versions.context(stack)) == []
    monkeypatch.setenv("PIPELINE_PARAMETER_SOURCE_TOKEN", "third-t0ken")
    assert service.deploy(versions.context(stack, tree, said.append)).changes[0] == "set source.token"
    folders = (versions.context(stack).folder, stack.settings.logs, stack.settings.conf, stack.settings.run)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    told = [*said, state.export(versions.context(stack)), *(path.read_text(errors="replace") for path in files)]
    assert not [text[:80] for text in told if "-t0ken" in text]


def test_a_parameter_without_a_value_is_named_before_anything_is_touched(stack: LocalStack, tmp_path: Path) -> None:
    def more(tree: Path) -> None:
        versions.with_parameter(tree, "source.token", sensitive=True)

    with pytest.raises(TerminalError, match=r"no value for source\.token") as refused:
        service.deploy(versions.context(stack, versions.tree(tmp_path / "tree", more)))
    assert "PIPELINE_PARAMETER_SOURCE_TOKEN" in refused.value.remedy
    assert state.drift(versions.context(stack)) == []
