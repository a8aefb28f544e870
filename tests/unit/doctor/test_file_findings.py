"""The doctor on what lies on the disk: secrets, certificates, and the engines' files against their lock."""

import datetime as dt
import hashlib
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.doctor import examine, files
from scripts.doctor.diagnosis import Grade, ok
from scripts.observe import files as disk
from scripts.observe.files import EngineFiles
from scripts.stack import credentials, fetch
from scripts.stack.fetch import Differences
from scripts.stack.lock import Artifact
from scripts.stack.settings import Settings
from tests.unit.doctor.severities import OK, PROBLEM, WARNING, severities


def test_secrets_that_others_may_read(settings: Settings) -> None:
    made = credentials.ensure(settings.secrets)
    settings.home.chmod(0o700)
    assert severities(files.check_modes(disk.modes(settings), settings.home)) == [OK]
    made.admin_key.chmod(0o640)
    settings.secrets.chmod(0o755)
    found = list(files.check_modes(disk.modes(settings), settings.home))
    assert severities(found) == [PROBLEM, PROBLEM]
    assert [finding.remedy for finding in found] == [f"chmod 700 {settings.secrets}", f"chmod 600 {made.admin_key}"]
    for finding in found:
        assert subprocess.run(finding.remedy.split(), check=False).returncode == 0
    assert severities(files.check_modes(disk.modes(settings), settings.home)) == [OK]


def test_nothing_is_said_of_secrets_that_are_not_made(settings: Settings) -> None:
    assert list(files.check_modes(disk.modes(settings), settings.home)) == []
    assert examine._credentials(settings) == (None, [])


def test_damaged_passwords_are_told(settings: Settings) -> None:
    credentials.ensure(settings.secrets)
    (settings.secrets / "words.json").write_text("{")
    known, found = examine._credentials(settings)
    assert known is None
    assert severities(found) == [PROBLEM]


NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("days", "severity"), [(-1, PROBLEM), (0, PROBLEM), (1, WARNING), (30, WARNING), (31, OK), (None, PROBLEM)]
)
def test_the_end_of_a_certificate(days: int | None, severity: Grade) -> None:
    end = None if days is None else NOW + dt.timedelta(days=days)
    far = NOW + dt.timedelta(days=300)
    (found,) = files.check_certificates({"ca.pem": far, "nifi.pem": end}, NOW, Path("/s"))
    assert severities([found]) == [severity]
    assert ("/s/nifi.pem" in found.what) == (severity is not OK)
    assert ("./scripts/run" in found.remedy) == (severity is not OK)


def test_files_of_the_cache_against_the_lock(tmp_path: Path) -> None:
    def artifact(name: str, content: bytes) -> Artifact:
        return Artifact("kafka", "lib", f"org/{name}", hashlib.sha256(content).hexdigest(), len(content))

    artifacts = [artifact(name, name.encode()) for name in ("whole", "gone", "short", "other")]
    for made, content in zip(artifacts, (b"whole", None, b"sho", b"OTHER"), strict=True):
        if content is not None:
            path = fetch.place(tmp_path, made)
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
    found = fetch.differences(artifacts, tmp_path, time.monotonic() + 60)
    assert [path.name for path in found.missing] == ["gone"]
    assert [path.name for path in found.wrong] == ["short", "other"]
    late = fetch.differences(artifacts, tmp_path, time.monotonic() - 1)
    assert ([path.name for path in late.wrong], [path.name for path in late.unread]) == (["short"], ["whole", "other"])


def test_what_differs_from_the_lock_is_told_with_what_to_remove() -> None:
    cache, jar = Path("/cache"), Path("/cache/files/00ff/a.jar")
    clean = Differences([], [], [])
    wrong = EngineFiles(3, replace(clean, wrong=[jar]), [])
    (found,) = files.check_engines(wrong, cache)
    assert severities([found]) == [PROBLEM]
    assert "a.jar" in found.what
    assert "rm -r /cache/files/00ff /cache/installs;" in found.remedy
    (found,) = files.check_engines(EngineFiles(3, clean, [Path("/cache/installs/x/java")]), cache)
    assert severities([found]) == [PROBLEM]
    (found,) = files.check_engines(EngineFiles(3, replace(clean, missing=[jar]), None), cache)
    assert found == ok("engines' files", "2 of 3 are fetched; ./scripts/run brings the rest")
    (found,) = files.check_engines(EngineFiles(3, replace(clean, unread=[jar]), []), cache)
    assert "2 of 3" in found.what
