"""What NiFi gets and what the browser gets."""

import gzip
import http.client
import json
import socket
from pathlib import Path

import pytest

from nifi_flows.connection import NiFi
from nifi_flows.errors import TerminalError, TransientError
from scripts.canvas import proxy
from scripts.stack import credentials
from scripts.stack.engines import nifi as nifi_engine
from scripts.stack.stack import nifi_of
from tests.unit.canvas.harness import BIG, Admitted, Loop, Upstream


def test_nifi_is_told_of_this_proxy_and_of_nobody_else(admitted: Admitted, upstream: Upstream) -> None:
    forged = [
        ("X-ProxiedEntitiesChain", "<CN=somebody>"),
        ("X-ProxiedEntityGroups", "<admins>"),
        ("X-ProxyHost", "evil.test"),
        ("x-proxyport", "1"),
        ("X-ProxyContextPath", "/evil"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Forwarded", "host=evil.test"),
        ("Authorization", "Bearer forged"),
        ("Proxy-Authorization", "Basic forged"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Connection", "close, X-Named"),
        ("X-Named", "by Connection"),
    ]
    passing = [
        ("Accept", "application/json"),
        ("Accept-Encoding", "br"),
        ("User-Agent", "browser/1"),
        ("Content-Type", "application/json"),
        ("Filename", "flow.json"),
        ("Request-Token", "7"),
        ("X-Other", "1"),
        ("X-Other", "2"),
    ]
    seen = admitted.change("/nifi-api/x", *forged, *passing).seen
    name, _, port = admitted.canvas.gate.host.partition(":")
    added = [("X-ProxyScheme", "http"), ("X-ProxyHost", name), ("X-ProxyPort", port)]
    length = [("Host", f"127.0.0.1:{upstream.settings.port(nifi_engine.PORT)}"), ("Content-Length", "2")]
    expected = [admitted.canvas.origin, *passing, *added, *length]
    assert sorted(map(tuple, seen["headers"])) == sorted((name.lower(), value) for name, value in expected)


def test_nothing_is_added_to_a_bare_request(admitted: Admitted) -> None:
    names = {name for name, _ in admitted.get("/x").seen["headers"]}
    assert names == {"host", "x-proxyscheme", "x-proxyhost", "x-proxyport"}


def test_the_browser_gets_what_nifi_says_without_its_cookies(admitted: Admitted) -> None:
    page = admitted.get("/nifi/")
    assert page.words == "<title>canvas</title>"
    assert page.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert page.headers.get_all("Referrer-Policy") == ["same-origin"]
    assert page.headers["Content-Length"] == "21"
    assert "Set-Cookie" not in page.headers
    assert "Keep-Alive" not in page.headers


@pytest.mark.parametrize("status", [201, 204, 302, 304, 400, 404, 409, 500])
def test_every_status_passes(admitted: Admitted, status: int) -> None:
    assert admitted.get(f"/x?status={status}").status == status


@pytest.mark.parametrize(("path", "length"), [("/nifi/", "21"), ("/big", None), ("/big?length", str(BIG))])
def test_head_has_headers_and_no_body(admitted: Admitted, path: str, length: str | None) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", admitted.canvas.port, timeout=20)
    for method in ("HEAD", "GET"):  # on one connection: whatever is left over comes before the second answer
        connection.request(method, path, headers=dict([admitted.canvas.own, admitted.cookie]))
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Length"]) == (200, length)
        assert bool(answer.read()) == (method == "GET")
    connection.close()


def test_what_comes_packed_stays_packed(admitted: Admitted) -> None:
    answer = admitted.get("/zip", ("Accept-Encoding", "gzip"))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b"packed"
    body = gzip.compress(b"up")
    seen = admitted.change("/x", ("Content-Encoding", "gzip"), body=body).seen
    assert seen["length"] == len(body)


@pytest.mark.parametrize("path", ["/big", "/big?length"])
def test_a_large_download_streams(admitted: Admitted, path: str) -> None:
    with socket.create_connection(("127.0.0.1", admitted.canvas.port), timeout=10) as client:
        lines = [
            f"GET {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in (admitted.canvas.own, admitted.cookie)),
        ]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")  # and goes away in the middle
    answer = admitted.get(path)
    assert answer.body == b"x" * BIG


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_body_is_sent_whole_and_with_its_length(admitted: Admitted, method: str) -> None:
    seen = admitted.change("/x", body=b"\x00\xff" * 2**20, method=method).seen
    assert (seen["method"], seen["length"]) == (method, 2**21)
    assert ["content-length", str(2**21)] in seen["headers"]


def test_a_body_in_chunks_reaches_nifi_with_its_length(admitted: Admitted) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", admitted.canvas.port, timeout=20)
    headers = dict([admitted.canvas.own, admitted.cookie, admitted.canvas.origin])
    connection.request("POST", "/x", iter([b"one", b"two"]), headers, encode_chunked=True)
    seen = json.loads(connection.getresponse().read())
    connection.close()
    assert seen["body"] == "onetwo"
    assert ["content-length", "6"] in seen["headers"]
    assert not [name for name, _ in seen["headers"] if name == "transfer-encoding"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_change_without_a_body_passes(admitted: Admitted, method: str) -> None:
    for body in (None, b""):
        assert admitted.change("/x", body=body, method=method).seen["length"] == 0


def test_a_body_beyond_the_bound_is_refused(admitted: Admitted, upstream: Upstream) -> None:
    before = upstream.seen
    headers = [admitted.canvas.own, admitted.cookie, admitted.canvas.origin]
    refused = admitted.canvas.ask("POST", "/x", headers, b"x" * (proxy.MAX_BODY + 1))
    assert refused.status == 413
    assert upstream.seen == before


def test_a_stranger_s_body_is_not_waited_for(admitted: Admitted) -> None:
    with socket.create_connection(("127.0.0.1", admitted.canvas.port), timeout=10) as client:
        client.sendall(f"POST /x HTTP/1.1\r\nHost: {admitted.canvas.gate.host}\r\nContent-Length: 99\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 403 ")


def test_half_an_answer_does_not_pass_for_a_whole_one(admitted: Admitted) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        admitted.get("/cut")
    assert admitted.get("/x").status == 200


def test_nifi_may_go_and_come_back(admitted: Admitted, upstream: Upstream) -> None:
    assert admitted.get("/x").status == 200
    upstream.stop()
    try:
        for answer in (admitted.get("/x"), admitted.change("/x")):
            assert answer.status == 502
            assert "does not answer" in answer.words
    finally:
        upstream.start()
    assert admitted.get("/x").status == 200
    assert admitted.change("/x").status == 200


def test_a_server_with_another_ca_is_not_believed(loop: Loop, upstream: Upstream, tmp_path: Path) -> None:
    other = nifi_of(upstream.settings, credentials.ensure(tmp_path / "other"))
    ours = NiFi(upstream.nifi.url, other.ca, upstream.nifi.certificate, upstream.nifi.key)
    stranger = NiFi(upstream.nifi.url, upstream.nifi.ca, other.certificate, other.key)
    for nifi in (ours, stranger):
        with pytest.raises(TransientError, match=r"^NiFi at https://127.0.0.1:\d+/nifi-api does not answer$"):
            loop.do(proxy.require(nifi))
    loop.do(proxy.require(upstream.nifi))


def test_damaged_certificates_are_named(loop: Loop, upstream: Upstream, tmp_path: Path) -> None:
    damaged = tmp_path / "admin.pem"
    damaged.write_text("rubbish")
    nifi = NiFi(upstream.nifi.url, upstream.nifi.ca, damaged, upstream.nifi.key)
    with pytest.raises(TerminalError, match=f"the certificates in {tmp_path} cannot be used"):
        loop.do(proxy.require(nifi))
