"""What each fault is like over a socket."""

import asyncio
import http.client
import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nifi_processors.errors import PageRefused
from nifi_processors.normalise import normalise
from nifi_processors.page import Page
from nifi_processors.validate import judge
from scripts.source import faults, invalid, misbehave, people
from scripts.source.faults import FAULTS, fault
from scripts.source.server import HOST
from tests.unit.source.served import ASKED, Served

RIGHT = list(people.users("f", range(20)))


def refusal(body: bytes) -> str:
    """The code with which the flow refuses this answer to page 1."""
    with pytest.raises(PageRefused) as refused:
        Page(body, 1)
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


def claims_to_be_ours(answer: http.client.HTTPResponse) -> None:
    """Every forged header came. What reads it as HTTP/1.1 takes a name to end at its first colon."""
    found = Counter((name, value.replace(" ", "")) for name, value in answer.headers.items())
    for name, value in misbehave.FORGED.items():
        before, colon, after = name.partition(":")
        assert found[(before, f"{after}:{value}" if colon else value)] == 1, name


def is_right_with_forged_headers(served: Served) -> None:
    answer = served.ask(f"/api/?{ASKED}&fault=forged")
    assert (answer.status, answer.read()) == served.page(ASKED)
    claims_to_be_ours(answer)


def is_429_with_forged_headers(served: Served) -> None:
    answer = served.ask(f"/api/?{ASKED}&fault=forged-429")
    assert (answer.status, answer.headers["Retry-After"]) == (429, None)
    claims_to_be_ours(answer)


def is_under_another_name(served: Served) -> None:
    status, body = served.page(f"{ASKED}&fault=reshaped")
    page = json.loads(body)
    assert (status, list(page)) == (200, ["data", "info"])
    assert page["data"] == [json.loads(user) for user in RIGHT]
    assert refusal(body) == "page_has_no_results"


def holds_users_that_no_row_can_come_of(served: Served) -> None:
    status, body = served.page(f"{ASKED}&fault=reshaped-users")
    assert status == 200
    assert [json.loads(bytes(user))["user"] for user in Page(body, 1).records] == [json.loads(user) for user in RIGHT]
    for user in Page(body, 1).records:
        assert judge(normalise(user)).reasons == [
            f"missing:{name}" for name in ("id", "first_name", "last_name", "email")
        ]


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
    "forged": is_right_with_forged_headers,
    "forged-429": is_429_with_forged_headers,
    "reshaped": is_under_another_name,
    "reshaped-users": holds_users_that_no_row_can_come_of,
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_what_it_is_called(served: Served, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(faults, "SLOW", 0.3)
    monkeypatch.setattr(faults, "HANG", 0.5)
    ANSWERS[name](served)
    assert served.stats()["faults"] == {**dict.fromkeys(FAULTS, 0), name: 1}
    assert [bytes(user) for user in Page(served.page(ASKED)[1], 1).records] == RIGHT


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
