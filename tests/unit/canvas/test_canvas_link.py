"""Who the link lets in, and whom the cookie."""

import secrets

import pytest
from multidict import CIMultiDict

from scripts.canvas.gate import COOKIE, Gate
from tests.unit.canvas.harness import Admitted, Canvas, Upstream


def test_the_link_lets_one_browser_in_once(fresh: Canvas) -> None:
    opened = fresh.ask("GET", fresh.door, [fresh.own, ("Sec-Fetch-Site", "cross-site")])
    assert opened.status == 200
    assert 'content="0;url=/nifi/"' in opened.words
    cookie = opened.headers["Set-Cookie"]
    name, _, attributes = cookie.partition("=")
    assert name == "canvas"
    # without a Domain, for this host name alone
    assert {part.strip() for part in attributes.split(";")[1:]} == {"HttpOnly", "SameSite=Strict", "Path=/"}
    token = fresh.door.partition("=")[2]
    assert token not in str(opened.headers) + opened.words
    assert len(token) >= 40
    assert fresh.ask("GET", "/nifi/", [fresh.own, ("Cookie", cookie.partition(";")[0])]).status == 200

    again = fresh.ask("GET", fresh.door, [fresh.own])
    assert again.status == 403
    assert "run it again" in again.words
    assert "Set-Cookie" not in again.headers


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/?token=",
        "/?token=wrong",
        "/?token=%C3%A9",
        "/?token=%FF%ED%A0%80",
        "/?token",
        "/nifi/",
        "/nifi/?token={}",
    ],
)
def test_what_is_not_the_link_lets_nobody_in_and_leaves_it_good(fresh: Canvas, upstream: Upstream, target: str) -> None:
    before = upstream.seen
    refused = fresh.ask("GET", target.format(fresh.door.partition("=")[2]), [fresh.own])
    assert refused.status == 403
    assert "Set-Cookie" not in refused.headers
    assert fresh.ask("HEAD", fresh.door, [fresh.own]).status == 403
    assert fresh.ask("POST", fresh.door, [fresh.own, fresh.origin], b"").status == 403
    assert upstream.seen == before
    fresh.enter()


def test_our_own_answers_are_not_kept_framed_or_told_to_others(fresh: Canvas) -> None:
    for answer in (
        fresh.ask("GET", "/nifi/", [fresh.own]),
        fresh.ask("GET", fresh.door, [fresh.own]),
        fresh.ask("GET", "/", [("Host", "evil.test")]),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_who_is_in_already_goes_on_to_the_canvas(admitted: Admitted) -> None:
    for door in ("/", admitted.canvas.door):
        sent_on = admitted.get(door)
        assert (sent_on.status, sent_on.headers["Location"]) == (303, "/nifi/")


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "canvas=",
        "canvas=wrong",
        "canvas=\u00e9",
        "canvas1={value}",
        "{value}",
        "canvas={value}x",
        'a="{{"; canvas',
    ],
)
def test_a_cookie_that_is_not_ours_lets_nobody_in(admitted: Admitted, upstream: Upstream, cookie: str) -> None:
    value = admitted.cookie[1].partition("=")[2]
    header = ("Cookie", cookie.format(value=value))
    before = upstream.seen
    assert admitted.canvas.ask("GET", "/nifi-api/flow", [admitted.canvas.own, header]).status == 403
    assert upstream.seen == before


@pytest.mark.parametrize("other", ["a=b; ", 'session={"user": [1,2]}; ', "=; ;;", "käse=é; ", "canvas1=x; "])
def test_the_cookies_of_others_are_no_hindrance(admitted: Admitted, other: str) -> None:
    header = ("Cookie", other + admitted.cookie[1])
    assert admitted.canvas.ask("GET", "/x", [admitted.canvas.own, header]).status == 200


def test_the_cookie_of_one_run_is_none_for_the_next(fresh: Canvas, admitted: Admitted) -> None:
    assert fresh.ask("GET", "/nifi/", [fresh.own, admitted.cookie]).status == 403


@pytest.mark.parametrize("others", [None, [], ["evil.test"], ["127.0.0.1:1"]], ids=str)
def test_a_gate_wants_one_host(others: list[str] | None) -> None:
    gate = Gate(1)
    assert gate.foreign("GET", "/", CIMultiDict({"host": gate.host})) is None
    hosts = [] if others is None else [gate.host, *(others or [gate.host])]
    refusal = gate.foreign("GET", "/", CIMultiDict(("host", host) for host in hosts))
    assert refusal
    assert refusal.status == 421


def test_a_gate_compares_any_text() -> None:
    gate = Gate(1)
    assert gate.redeem("\udcff é") is None
    assert gate.unknown({COOKIE: "\udcff é"})
    assert gate.redeem(secrets.token_urlsafe(32)) is None
    assert gate.redeem(gate.link.partition("=")[2])
