"""The source that misbehaves on request: which requests, in which ways, told by a file while it runs."""

import asyncio
import http.client
import json
import logging
import math
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp.web import TCPSite
from typer.testing import CliRunner

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from nifi_flows.pipeline import USERS
from nifi_processors.errors import PageRefused
from nifi_processors.normalise import normalise
from nifi_processors.page import records
from nifi_processors.validate import reasons
from scripts.commands import source as command
from scripts.source import faults, invalid, misbehave, people
from scripts.source.behaviour import Behaviour, BehaviourFile
from scripts.source.faults import FAULTS, Attempts, fault
from scripts.source.server import HOST, make_app, make_runner
from scripts.stack.engine import Local
from scripts.stack.engines import source as embedded
from scripts.stack.settings import Settings

# --- which requests


@pytest.mark.parametrize("rates", [{"500": 0.2}, {"reset": 0.05, "429": 0.3, "hang": 0.1}])
def test_each_fault_strikes_its_part_of_the_requests(rates: dict[str, float]) -> None:
    struck = Counter(fault(("rate", 100, number), 0, rates) for number in range(20_000))
    assert set(struck) == {None, *rates}
    for name, rate in rates.items():
        assert struck[name] == pytest.approx(rate * 20_000, rel=0.1)


def test_which_request_is_struck_is_a_matter_of_its_name_alone() -> None:
    rates = {"429": 0.3, "html": 0.4}
    struck = [fault(("pinned", 100, number), 0, rates) for number in range(8)]
    assert struck == [fault(("pinned", 100, number), 0, dict(reversed(rates.items()))) for number in range(8)]
    assert struck == [None, "html", "html", None, "html", "html", None, None]


@pytest.mark.parametrize("other", [("b", 10, 1, 0), ("a", 11, 1, 0), ("a", 10, 2, 0), ("a", 10, 1, 1)])
def test_seed_page_size_page_and_attempt_all_count(other: tuple[str, int, int, int]) -> None:
    def struck(seed: str, size: int, number: int, attempt: int) -> list[str | None]:
        return [fault((f"{seed}{i}", size, number), attempt, {"500": 0.5}) for i in range(200)]

    same = sum(one == another for one, another in zip(struck("a", 10, 1, 0), struck(*other), strict=True))
    assert 60 < same < 140


def test_no_page_fails_for_ever_below_a_rate_of_one() -> None:
    rates = {"429": 0.5, "reset": 0.4}
    for number in range(200):
        assert None in [fault(("ever", 100, number), attempt, rates) for attempt in range(150)]


def test_at_a_rate_of_one_every_request_fails() -> None:
    assert {fault(("all", 1, number), 0, {"empty": 1.0}) for number in range(2_000)} == {"empty"}


def test_attempts_are_counted_page_by_page_until_the_rates_are_set_again() -> None:
    rates = {"500": 0.5}
    attempts = Attempts()
    pages = [("count", 10, number) for number in range(1, 4)]
    for attempt in range(6):
        assert [attempts.fault(page, rates) for page in pages] == [fault(page, attempt, rates) for page in pages]
    again = dict(rates)
    assert [attempts.fault(pages[0], again) for _ in range(6)] == [fault(pages[0], n, rates) for n in range(6)]


def test_an_endless_run_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "REMEMBERED", 100)
    attempts, rates = Attempts(), {"500": 0.5}
    for number in range(1_000):
        attempts.fault(("endless", 1, number), rates)
        attempts.fault(("endless", 1, 0), rates)
    assert len(attempts._counts) == 100
    assert attempts.fault(("endless", 1, 0), rates) == fault(("endless", 1, 0), 1_001, rates)


# --- the file


@pytest.mark.parametrize(
    "told",
    [
        Behaviour(),
        Behaviour(faults={"429": 0.2, "hang": 0.8}, invalid={"uuid_null": 0.3}, invalid_share=0.7),
        Behaviour(faults={"429": 0.1, "500": 0.7, "slow": 0.2}),  # more than 1 by a rounding error
    ],
)
def test_a_behaviour_comes_back_from_its_json(told: Behaviour) -> None:
    assert Behaviour.parse(told.json()) == told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"faults": {"418": 0.1}}', "no fault is called '418'; there is 429, 429-bare, 500, "),
        ('{"invalid": {"nose": 0.1}}', "no kind of invalid user is called 'nose'; there is record_null, "),
        ('{"faults": {"500": 1.5}}', "the rate of 500 is not between 0 and 1: 1.5"),
        ('{"invalid": {"uuid_null": -0.1}}', "the rate of uuid_null is not between 0 and 1: -0.1"),
        ('{"invalid_share": 7}', "the rate of invalid is not between 0 and 1: 7"),
        ('{"faults": {"500": 0.6, "429": 0.5}}', "the rates of faults come to 1.1, more than 1"),
        ('{"invalid": {"uuid_null": 0.6}, "invalid_share": 0.5}', "the rates of invalid users come to 1.1, more"),
        ('{"faults": {"500": "often"}}', "Expected `float`"),
        ('{"fault": {"500": 0.1}}', "unknown field `fault`"),
        ('{"faults": {"500": 0.1}', "truncated"),
        ("", "truncated"),
    ],
)
def test_what_is_no_behaviour_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Behaviour.parse(text.encode())


def test_not_a_number_is_no_rate() -> None:
    with pytest.raises(ValueError, match="the rate of 500 is not between 0 and 1: nan"):
        Behaviour(faults={"500": float("nan")})


def test_the_file_is_followed_and_read_only_as_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    file = BehaviourFile(path)
    assert file.read() == Behaviour()
    path.write_text('{"faults": {"500": 0.5}}')
    first = file.read()
    assert first.faults == {"500": 0.5}
    assert file.read() is first
    path.unlink()
    assert file.read() == Behaviour()


def test_a_file_that_was_replaced_within_the_clocks_tick_is_seen(tmp_path: Path) -> None:
    path, other = tmp_path / "source.json", tmp_path / "other.json"
    path.write_text('{"faults": {"500": 0.5}}')
    file = BehaviourFile(path)
    file.read()
    other.write_text('{"faults": {"429": 0.5}}')
    times = path.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert file.read().faults == {"429": 0.5}


def test_a_file_that_is_damaged_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "source.json"
    path.write_text('{"faults": {"500": 0.5}}')
    file = BehaviourFile(path)
    before = file.read()
    path.write_text('{"faults": {"500": 0.')
    with caplog.at_level(logging.ERROR, "source"):
        assert [file.read() for _ in range(5)] == [before] * 5
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith(f"{path} is not read, so nothing changes: ")
    path.write_text('{"faults": {"500": 0.25}}')
    assert file.read().faults == {"500": 0.25}


# --- over a socket


@dataclass(frozen=True)
class Served:
    """A source in this process."""

    port: int
    file: Path

    def ask(self, path: str) -> http.client.HTTPResponse:
        """The answer as far as its headers; its body is not yet read."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        connection.request("GET", path)
        return connection.getresponse()

    def page(self, query: str) -> tuple[int, bytes]:
        answer = self.ask(f"/api/?{query}")
        return answer.status, answer.read()

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = json.loads(self.ask("/stats").read())
        return stats

    def tell(self, **told: Any) -> None:
        """As the command does it."""
        part = self.file.with_name("part")
        part.write_bytes(Behaviour(**told).json())
        part.replace(self.file)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    loop = asyncio.new_event_loop()
    file = tmp_path / "conf" / "source.json"
    file.parent.mkdir()
    runner = make_runner(make_app(BehaviourFile(file).read))

    async def begin() -> int:
        await runner.setup()
        await TCPSite(runner, HOST, 0).start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Served(asyncio.run_coroutine_threadsafe(begin(), loop).result(10), file)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


RIGHT = list(people.users("f", range(20)))
ASKED = "results=20&seed=f"


def refusal(body: bytes) -> str:
    """The code with which the flow refuses this answer to page 1."""
    with pytest.raises(PageRefused) as refused:
        records(body, 1)
    return refused.value.code


def is_429_with_a_time(served: Served) -> None:
    answer = served.ask(f"/api/?{ASKED}&fault=429")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


def is_429_without_a_time(served: Served) -> None:
    answer = served.ask(f"/api/?{ASKED}&fault=429-bare")
    assert (answer.status, answer.headers["Retry-After"]) == (429, None)


def is_500(served: Served) -> None:
    assert served.page(f"{ASKED}&fault=500")[0] == 500


def is_right_but_late(served: Served) -> None:
    begun = time.monotonic()
    late = served.page(f"{ASKED}&fault=slow")
    assert time.monotonic() - begun >= 0.3
    assert late == served.page(ASKED)


def is_silent_and_then_gone(served: Served) -> None:
    begun = time.monotonic()
    with pytest.raises(ConnectionError):
        served.ask(f"/api/?{ASKED}&fault=hang")
    assert time.monotonic() - begun >= 0.5


def is_reset_in_mid_body(served: Served) -> None:
    _, right = served.page(ASKED)
    answer = served.ask(f"/api/?{ASKED}&fault=reset")
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(right)))
    assert answer.read(500) == right[:500]
    with pytest.raises(ConnectionResetError):
        answer.read()


def is_cut_and_says_it_is_whole(served: Served) -> None:
    _, right = served.page(ASKED)
    status, body = served.page(f"{ASKED}&fault=truncated")
    assert status == 200
    assert 0 < len(body) < len(right)
    assert right.startswith(body)
    assert refusal(body) == "page_not_json"


def is_a_page_for_people(served: Served) -> None:
    answer = served.ask(f"/api/?{ASKED}&fault=html")
    assert (answer.status, answer.headers.get_content_type()) == (200, "text/html")
    assert refusal(answer.read()) == "page_not_json"


def is_empty(served: Served) -> None:
    status, body = served.page(f"{ASKED}&fault=empty")
    assert (status, json.loads(body)["results"]) == (200, [])
    assert refusal(body) == "page_empty"


def is_under_another_name(served: Served) -> None:
    status, body = served.page(f"{ASKED}&fault=reshaped")
    page = json.loads(body)
    assert (status, list(page)) == (200, ["data", "info"])
    assert page["data"] == [json.loads(user) for user in RIGHT]
    assert refusal(body) == "page_has_no_results"


def holds_users_that_no_row_can_come_of(served: Served) -> None:
    status, body = served.page(f"{ASKED}&fault=reshaped-users")
    assert status == 200
    assert [json.loads(bytes(user))["user"] for user in records(body, 1)] == [json.loads(user) for user in RIGHT]
    for user in records(body, 1):
        assert reasons(normalise(user)) == [f"missing:{name}" for name in ("id", "first_name", "last_name", "email")]


ANSWERS: dict[str, Callable[[Served], None]] = {
    "429": is_429_with_a_time,
    "429-bare": is_429_without_a_time,
    "500": is_500,
    "slow": is_right_but_late,
    "hang": is_silent_and_then_gone,
    "reset": is_reset_in_mid_body,
    "truncated": is_cut_and_says_it_is_whole,
    "html": is_a_page_for_people,
    "empty": is_empty,
    "reshaped": is_under_another_name,
    "reshaped-users": holds_users_that_no_row_can_come_of,
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_what_it_is_called(served: Served, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(faults, "SLOW", 0.3)
    monkeypatch.setattr(faults, "HANG", 0.5)
    ANSWERS[name](served)
    assert served.stats()["faults"] == {**dict.fromkeys(FAULTS, 0), name: 1}
    assert [bytes(user) for user in records(served.page(ASKED)[1], 1)] == RIGHT


def test_an_unknown_fault_is_named_with_those_there_are(served: Served) -> None:
    status, body = served.page("fault=418")
    assert status == 400
    assert json.loads(body)["error"] == f"fault: no such fault: '418'; use {', '.join(FAULTS)}"


def test_the_rates_hold_attempt_by_attempt_and_are_counted(served: Served) -> None:
    rates = {"500": 0.3, "429-bare": 0.2}
    served.tell(faults=rates)
    status = {None: 200, "500": 500, "429-bare": 429}
    expected = [fault(("rates", 5, number), attempt, rates) for attempt in range(4) for number in range(1, 16)]
    found = [served.page(f"seed=rates&results=5&page={number}")[0] for _ in range(4) for number in range(1, 16)]
    assert found == [status[name] for name in expected]
    stats = served.stats()
    assert {name: count for name, count in stats["faults"].items() if count} == Counter(filter(None, expected))
    assert (stats["pages"], stats["users"]) == (expected.count(None), 5 * expected.count(None))


def test_it_is_told_to_misbehave_and_to_behave_while_it_runs(served: Served) -> None:
    assert served.page(ASKED)[0] == 200
    served.tell(faults={"500": 1.0})
    assert served.page(ASKED)[0] == 500
    served.file.write_text("rubbish")
    assert served.page(ASKED)[0] == 500
    served.tell(invalid={"record_null": 1.0})
    status, body = served.page(ASKED)
    assert (status, json.loads(body)["results"]) == (200, [None] * 20)
    served.tell()
    assert json.loads(served.page(ASKED)[1])["results"] == [json.loads(user) for user in RIGHT]


def test_health_and_stats_never_misbehave(served: Served) -> None:
    served.tell(faults={"hang": 1.0})
    assert served.ask("/health").read() == b'{"status": "ok"}'
    assert served.ask("/stats").status == 200


def test_broken_users_are_in_late_pages_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "SLOW", 0.01)
    served.tell(faults={"slow": 1.0}, invalid={"uuid_null": 0.3})
    found = json.loads(served.page(ASKED)[1])["results"]
    kinds = [invalid.invalid_kind("f", index, 0.0, {"uuid_null": 0.3}) for index in range(20)]
    assert [user["login"]["uuid"] is None for user in found] == [kind is not None for kind in kinds]
    assert 0 < sum(kind is not None for kind in kinds) < 20


def test_requests_that_hang_hold_nobody_up_and_end_with_their_clients(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: set[object] = set()
    real = misbehave.answer

    async def watched(*arguments: Any) -> Any:
        under_way.add(asyncio.current_task())
        try:
            return await real(*arguments)
        finally:
            under_way.discard(asyncio.current_task())

    monkeypatch.setattr(misbehave, "answer", watched)
    clients = [http.client.HTTPConnection(HOST, served.port, timeout=10) for _ in range(5)]
    for client in clients:
        client.request("GET", f"/api/?{ASKED}&fault=hang")
    wait(lambda: len(under_way) == 5)
    with ThreadPoolExecutor(4) as pool:
        assert {status for status, _ in pool.map(served.page, [ASKED] * 8)} == {200}
    for client in clients:
        client.close()
    wait(lambda: not under_way)


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- the command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served) -> Path:
    """The home of a stack that was set up, with its source running: it is `served`."""
    for name in list(os.environ):
        if name.startswith("PIPELINE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_SOURCE_PORT", str(served.port))
    (tmp_path / "conf" / "supervisord.conf").touch()
    return tmp_path


def call(*arguments: str) -> str:
    """What `source ARGUMENTS` prints. Raises whatever ends it."""
    done = CliRunner().invoke(command.app, arguments)
    if done.exception:
        raise done.exception
    return done.output


def test_misbehaving_is_set_shown_counted_and_ended(home: Path, served: Served) -> None:
    said = call("misbehave", "500=1", "invalid=0.02", "invalid:uuid_null=0.01", "html=0")
    assert said == "The source now does wrong: 500=1 invalid=0.02 invalid:uuid_null=0.01\n"
    assert served.page(ASKED)[0] == 500
    shown = json.loads(call("--output", "json"))
    assert (shown["running"], shown["pages"], shown["users"]) == (True, 0, 0)
    assert shown["faults"]["500"] == {"rate": 1.0, "given": 1, "answer": "500"}
    assert shown["faults"]["html"] == {"rate": 0.0, "given": 0, "answer": "200 and a login page in HTML"}
    assert shown["invalid_share"] == 0.02
    assert shown["invalid"]["uuid_null"] == {"rate": 0.01, "reasons": ["missing:id"]}
    assert (list(shown["faults"]), list(shown["invalid"])) == (list(FAULTS), list(invalid.KINDS))
    lines = [line.split() for line in call().splitlines()]
    assert ["500", "100", "%", "1", "500"] in lines
    assert ["invalid:uuid_null", "1", "%", "missing:id"] in lines
    assert call("behave") == "The source now does nothing wrong\n"
    assert served.page(ASKED)[0] == 200


def test_to_misbehave_anew_ends_what_was_set_before(home: Path) -> None:
    call("misbehave", "500=0.1", "invalid=0.1", "invalid:uuid_null=0.1")
    call("misbehave", "429=0.2")
    assert embedded.behaviour(Settings(home=home)) == Behaviour(faults={"429": 0.2})


def test_a_source_that_does_not_run_is_told_all_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "stats", lambda _: None)
    assert call("misbehave", "500=0.1").endswith("500=0.1; it is not running and will begin when it starts\n")
    shown = json.loads(call("--output", "json"))
    assert (shown["running"], shown["pages"], shown["faults"]["500"]["given"]) == (False, None, None)
    assert "not running" in call()


def test_without_a_listener_there_are_no_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as opened:
        port = opened.getsockname()[1]
    assert embedded.stats(Settings(home=home, ports={"source": port})) is None


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["418=0.1"], "no fault is called '418'; there is 429, 429-bare, 500, "),
        (["429=0.1", "invalid:nose=0.1"], "no kind of invalid user is called 'nose'; there is record_null, "),
        (["=0.1"], "no fault is called ''"),
        (["500=1.1"], "the rate of 500 is not between 0 and 1: 1.1"),
        (["500=-0.1"], "the rate of 500 is not between 0 and 1: -0.1"),
        (["500=inf"], "the rate of 500 is not between 0 and 1: inf"),
        (["500=nan"], "the rate of 500 is not between 0 and 1: nan"),
        (["500=0.6", "slow=0.5"], "the rates of faults come to 1.1, more than 1"),
        (["invalid=0.6", "invalid:uuid_null=0.5"], "the rates of invalid users come to 1.1, more than 1"),
        (["500"], "'500' names no rate"),
        (["500="], "the rate of 500 is no number: ''"),
        (["500=0,1"], "the rate of 500 is no number: '0,1'"),
        (["500=0.1", "500=0.2"], "'500' is given twice"),
    ],
)
def test_what_it_cannot_do_is_told_in_a_line_and_nothing_changes(home: Path, assignments: list[str], said: str) -> None:
    call("misbehave", "reset=0.1")
    before = (home / "conf" / "source.json").read_bytes()
    with pytest.raises(TerminalError) as refused:
        call("misbehave", *assignments)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    assert (home / "conf" / "source.json").read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["--output", "json"], ["misbehave", "500=0.1"], ["behave"]])
def test_without_a_stack_it_says_so_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "h"))
    with pytest.raises(TransientError, match="no stack has been set up yet") as refused:
        call(*arguments)
    assert "./scripts/run" in refused.value.remedy
    assert not (tmp_path / "h").exists()


def test_a_damaged_file_is_named_and_behaving_mends_it(home: Path) -> None:
    (home / "conf" / "source.json").write_text("rubbish")
    with pytest.raises(PipelineError, match=r"source\.json is not read: ") as refused:
        call()
    assert "source behave" in refused.value.remedy
    call("behave")
    assert embedded.behaviour(Settings(home=home)) == Behaviour()


def test_the_file_is_its_owners_alone(home: Path) -> None:
    call("misbehave", "500=0.1")
    assert (home / "conf" / "source.json").stat().st_mode & 0o777 == 0o600


# --- the engine


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
