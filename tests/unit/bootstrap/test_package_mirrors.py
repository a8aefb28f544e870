"""What uv is handed on of the user's configuration of pip."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import bootstrap


@pytest.fixture
def pip_says(elsewhere: Path) -> Callable[..., dict[str, str]]:
    """Make a pip that lists this configuration, and return what uv would be told."""

    def pip_says(*lines: str, code: int = 0) -> dict[str, str]:
        python = Path(bootstrap.PYTHON)
        python.parent.mkdir(parents=True, exist_ok=True)
        script = [
            "#!/bin/sh",
            "[ \"$*\" = '-m pip config list' ] || exit 9",
            "cat <<'END'",
            *lines,
            "END",
            f"exit {code}",
        ]
        python.write_text("\n".join(script))
        python.chmod(0o755)
        return bootstrap._uv_environment(str(python))

    return pip_says


def test_without_a_configuration_uv_gets_its_cache_and_nothing_else(
    pip_says: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_CACHE", "/cache of mine")
    given = pip_says()
    assert {k: v for k, v in given.items() if os.environ.get(k) != v} == {
        "UV_CACHE_DIR": "/cache of mine/uv",
        "UV_NO_CONFIG": "1",
    }


def test_mirrors_and_bundle_of_pip_are_handed_on(pip_says: Callable[..., dict[str, str]], elsewhere: Path) -> None:
    given = pip_says(
        "global.cert='/etc/ssl/my ca.pem'",
        "global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'",
        f"global.find-links='/not/there\\n{elsewhere}\\nhttps://links.example/x'",
        'global.index-url="https://user:it\'s@mirror.example/simple"',
        "global.timeout='60'",
        "list.index-url='https://not.for.install.example'",
    )
    assert given["UV_DEFAULT_INDEX"] == "https://user:it's@mirror.example/simple"
    assert given["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert given["UV_FIND_LINKS"] == f"{elsewhere},https://links.example/x"
    assert given["SSL_CERT_FILE"] == "/etc/ssl/my ca.pem"


@pytest.mark.parametrize("turned", [1, -1])
def test_the_environment_rules_over_the_install_section_and_that_over_the_global_one(
    pip_says: Callable[..., dict[str, str]], turned: int
) -> None:
    """pip's versions differ in the order in which they list them."""
    lines = [
        ":env:.index-url='https://env.example'",
        "global.cert='/global.pem'",
        "global.index-url='https://global.example'",
        "install.cert='/install.pem'",
        "install.index-url='https://install.example'",
    ]
    given = pip_says(*lines[::turned])
    assert given["UV_DEFAULT_INDEX"] == "https://env.example"
    assert given["SSL_CERT_FILE"] == "/install.pem"


def test_what_is_set_for_uv_itself_stays(
    pip_says: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example")
    monkeypatch.setenv("SSL_CERT_FILE", "/uv.pem")
    given = pip_says("global.index-url='https://pip.example'", "global.cert='/pip.pem'")
    assert given["UV_DEFAULT_INDEX"] == "https://uv.example"
    assert given["SSL_CERT_FILE"] == "/uv.pem"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_pip_takes_from_the_environment_is_handed_on(
    pip_says: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/company ca.pem")
    assert pip_says()["SSL_CERT_FILE"] == "/company ca.pem"
    assert pip_says("global.cert='/pip.pem'")["SSL_CERT_FILE"] == "/pip.pem"


def test_a_pip_that_cannot_list_is_no_obstacle(pip_says: Callable[..., dict[str, str]]) -> None:
    assert "UV_DEFAULT_INDEX" not in pip_says(code=1)


def test_real_pip_lists_what_is_read_here(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "pip.conf").write_text("[global]\nextra-index-url =\n  https://one.example\n  https://two.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(elsewhere / "pip.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example")
    given = bootstrap._uv_environment(sys.executable)
    assert given["UV_DEFAULT_INDEX"] == "https://env.example"
    assert given["UV_INDEX"].split()[-2:] == ["https://one.example", "https://two.example"]
