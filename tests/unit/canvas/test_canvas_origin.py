"""Where a request is meant to go, and comes from."""

import re

import pytest

from scripts.canvas.gate import Gate
from scripts.stack.engines import nifi as nifi_engine
from tests.unit.canvas.harness import Admitted, Canvas, Upstream, filled


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.test"],
        ["evil.test:{port}"],
        ["127.0.0.1:{port}"],
        ["localhost:{port}"],
        ["[::1]:{port}"],
        ["0.0.0.0:{port}"],
        ["{name}"],
        ["{name}:1"],
        ["{name}.:{port}"],
        ["x{name}:{port}"],
        ["x.{name}:{port}"],
        ["{host}.evil.test"],
        ["{name}.evil.test:{port}"],
        ["user@{host}"],
        [""],
        [],
        ["{host}", "evil.test"],
        ["evil.test", "{host}"],
    ],
    ids=str,
)
def test_a_foreign_host_is_refused_link_and_cookie_or_not(
    admitted: Admitted, fresh: Canvas, upstream: Upstream, hosts: list[str]
) -> None:
    before = upstream.seen
    for asked, target, headers in (
        (admitted.canvas, "/nifi-api/flow", [admitted.cookie, admitted.canvas.origin]),
        (fresh, fresh.door, []),
    ):
        answer = asked.ask("GET", target, [*(("Host", filled(host, asked)) for host in hosts), *headers])
        assert answer.status in (421, 400)
        assert answer.status == 421 or len(hosts) != 1
    assert upstream.seen == before
    fresh.enter()


def test_the_name_is_of_this_run_alone_and_browsers_take_it_for_this_machine() -> None:
    hosts = {Gate(8445).host for _ in range(20)}
    assert len(hosts) == 20
    # no more than NiFi takes for a host name
    assert all(re.fullmatch(r"[0-9a-f]{32}\.localhost:8445", host) for host in hosts)


def test_a_host_name_is_the_same_in_capitals(admitted: Admitted) -> None:
    host = ("Host", admitted.canvas.gate.host.upper())
    headers = [host, admitted.cookie, admitted.canvas.origin]
    assert admitted.canvas.ask("POST", "/x", headers, b"").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "origins",
    [
        [],
        ["null"],
        [""],
        ["http://evil.test"],
        ["http://127.0.0.1:{port}"],
        ["http://localhost:{port}"],
        ["http://{name}"],
        ["http://{name}:1"],
        ["https://{host}"],
        ["http://x.{host}"],
        ["http://{host}.evil.test"],
        ["http://{host}/"],
        ["http://{host}", "http://evil.test"],
        ["http://evil.test", "http://{host}"],
    ],
    ids=str,
)
def test_only_our_own_pages_change_something(
    admitted: Admitted, upstream: Upstream, method: str, origins: list[str]
) -> None:
    before = upstream.seen
    headers = [("Origin", filled(origin, admitted.canvas)) for origin in origins]
    answer = admitted.canvas.ask(method, "/x", [admitted.canvas.own, admitted.cookie, *headers], b"{}")
    assert answer.status == 403 or (answer.status == 400 and len(origins) > 1)
    assert upstream.seen == before
    if origins:
        assert admitted.get("/x", *headers).status in (403, 400)
        assert upstream.seen == before


def test_a_change_that_says_another_site_sent_it_is_refused(admitted: Admitted) -> None:
    assert admitted.change("/x", ("Sec-Fetch-Site", "same-site")).status == 403
    assert admitted.change("/x", ("Sec-Fetch-Site", "same-origin")).status == 200


@pytest.mark.parametrize(
    ("site", "status"),
    [("cross-site", 403), ("same-site", 403), ("Same-Origin", 403), ("same-origin", 200), ("none", 200)],
)
def test_pages_of_another_port_read_nothing_by_our_cookie(admitted: Admitted, site: str, status: int) -> None:
    """To SameSite=Strict, any port of a host name is the same site."""
    assert admitted.get("/nifi-api/flow", ("Sec-Fetch-Site", site)).status == status


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_refused(admitted: Admitted, upstream: Upstream, method: str) -> None:
    before = upstream.seen
    assert admitted.get("/x", admitted.canvas.origin, method=method).status in (400, 405)
    assert upstream.seen == before


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "http://evil.test/x"),
        ("GET", "https://127.0.0.1:1/x"),
        ("GET", "http://{host}/x"),
        ("GET", "http://{host}/{door}"),
        ("CONNECT", "127.0.0.1:{nifi}"),
        ("OPTIONS", "*"),
        ("GET", "*"),
        ("GET", "evil.test"),
        ("GET", "@evil.test/"),
    ],
)
def test_it_is_no_proxy_to_elsewhere(admitted: Admitted, upstream: Upstream, method: str, target: str) -> None:
    before = upstream.seen
    door = admitted.canvas.door[1:]
    asked = target.format(host=admitted.canvas.gate.host, nifi=upstream.settings.port(nifi_engine.PORT), door=door)
    assert admitted.get(asked, method=method).status in (400, 405)
    assert upstream.seen == before


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test/x",
        "///evil.test",
        "/\\evil.test",
        "/@evil.test/",
        "/:80@evil.test",
        "/../../etc",
        "/a/../b",
        "/a/./b//c",
        "/%2e%2e/%2F%00",
        "/;a=b?c=d&c=e+f%20g",
        "/nifi-api/x?q=%22%C3%A9%22|",
        "//?token=x",
        "/%3Ftoken=x",
    ],
)
def test_every_path_goes_to_nifi_alone_and_as_it_came(admitted: Admitted, target: str) -> None:
    seen = admitted.get(target).seen
    assert seen["target"] == target
    assert seen["client"] == {"commonName": "admin"}


@pytest.mark.parametrize("target", ["//", "//?token={}", "/./?token={}", "/%2F?token={}", "/nifi?token={}"])
def test_what_looks_like_the_door_is_none(fresh: Canvas, upstream: Upstream, target: str) -> None:
    before = upstream.seen
    assert fresh.ask("GET", target.format(fresh.door.partition("=")[2]), [fresh.own]).status == 403
    assert upstream.seen == before
    fresh.enter()


def test_a_websocket_is_not_opened(admitted: Admitted, upstream: Upstream) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    before = upstream.seen
    for headers in ([*upgrade, ("Origin", "http://evil.test")], [*upgrade, ("Sec-Fetch-Site", "cross-site")]):
        assert admitted.get("/x", *headers).status == 403
    assert admitted.canvas.ask("GET", "/x", [admitted.canvas.own, admitted.canvas.origin, *upgrade]).status == 403
    assert upstream.seen == before
    ordinary = admitted.get("/x", admitted.canvas.origin, *upgrade)
    assert ordinary.status == 200
    assert not {"upgrade", "connection"} & {name for name, value in ordinary.seen["headers"] if value != "keep-alive"}
