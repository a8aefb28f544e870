"""The doctor on a real stack: nothing to say of a healthy one, and each fault named with what mends it."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nipyapi
import pytest

from nifi_flows import canvas, connection
from scripts.stack import credentials
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor
from tests.engines.conftest import LocalStack

Findings = list[dict[str, Any]]


def examined(stack: LocalStack) -> tuple[int, Findings]:
    outcome = stack.pipeline("doctor", "--output", "json")
    assert "Traceback" not in outcome.err
    return outcome.code, outcome.json


def problems(findings: Findings) -> Findings:
    return [finding for finding in findings if finding["severity"] == "problem"]


def healthy(stack: LocalStack) -> Findings:
    """Wait until the doctor has no problem to tell: engines that another test has disturbed may still be starting."""
    return until(stack, lambda code, findings: code == 0 and not problems(findings))


def until(stack: LocalStack, condition: Callable[[int, Findings], bool]) -> Findings:
    deadline = time.monotonic() + 120
    while True:
        code, findings = examined(stack)
        if condition(code, findings):
            return findings
        assert time.monotonic() < deadline, (code, problems(findings))
        time.sleep(1)


def test_a_healthy_stack_has_no_problem(stack: LocalStack) -> None:
    stack.run()
    findings = healthy(stack)
    fine = [finding for finding in findings if finding["severity"] == "ok"]
    assert {finding["area"] for finding in fine} >= {"ports", "engines' files", "secrets", "engines", "flow", "lag"}
    names = {finding["what"].partition(":")[0] for finding in fine if finding["area"] == "engines"}
    assert names >= {"source", "nifi", "kafka", "registry", "spark-master", "spark-worker", "consumer", "cassandra"}
    assert all(finding["remedy"] for finding in findings if finding["severity"] != "ok")


def test_an_engine_that_is_stopped_is_named_and_run_starts_it(stack: LocalStack) -> None:
    stack.run()
    healthy(stack)
    try:
        Supervisor(stack.settings).stop_engine("registry")
        code, findings = examined(stack)
        assert code == 1
        stopped = [finding for finding in problems(findings) if finding["what"] == "registry is stopped"]
        assert [finding["remedy"] for finding in stopped] == ["./scripts/run starts it"]
        shown = stack.pipeline("doctor")
        assert shown.code == 1
        assert "problem registry is stopped\n          next: ./scripts/run starts it\n" in shown.out
    finally:
        stack.run()
    healthy(stack)


def test_a_processor_that_is_stopped_on_the_canvas_is_named_and_run_starts_it(stack: LocalStack) -> None:
    stack.run()
    healthy(stack)
    made = credentials.ensure(stack.settings.secrets)
    try:
        with connection.connected(nifi_of(stack.settings, made)):
            group = canvas.find_group("users")
            assert group
            fetch = next(p for p in canvas.processors(group) if p.component.name == "Fetch page")
            assert nipyapi.canvas.schedule_processor(fetch.id, False)
        code, findings = examined(stack)
        assert code == 1
        assert {(finding["what"], finding["remedy"]) for finding in problems(findings)} == {
            ("processor 'Fetch page' is stopped", "./scripts/run starts it")
        }
    finally:
        stack.run()
    healthy(stack)


def test_a_secret_that_others_may_read_is_named_and_the_remedy_closes_it(stack: LocalStack) -> None:
    healthy(stack)
    key = stack.settings.secrets / "admin.key"
    try:
        key.chmod(0o644)
        code, findings = examined(stack)
        assert code == 1
        assert [(finding["what"], finding["remedy"]) for finding in problems(findings)] == [
            (f"{key} has mode 644: others may read it", f"chmod 600 {key}")
        ]
    finally:
        key.chmod(0o600)
    healthy(stack)


def test_a_certificate_that_is_about_to_end_is_a_warning(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NiFi's own certificate: it has read the file when it started, and nobody else does."""
    healthy(stack)
    monkeypatch.setattr(credentials, "_LIFETIME", datetime.timedelta(days=5))
    ending = credentials.ensure(tmp_path / "secrets").nifi_certificate.read_bytes()
    certificate = stack.settings.secrets / "nifi.pem"
    kept = certificate.read_bytes()
    try:
        certificate.write_bytes(ending)
        told = [finding for finding in healthy(stack) if finding["area"] == "secrets" and finding["severity"] != "ok"]
        assert [finding["severity"] for finding in told] == ["warning"]
        assert told[0]["what"].startswith(f"the certificate {certificate} ends in 4 days, on 20")
        assert told[0]["remedy"] == "./scripts/pipeline down, then ./scripts/run: it makes them anew"
    finally:
        certificate.write_bytes(kept)
    healthy(stack)
