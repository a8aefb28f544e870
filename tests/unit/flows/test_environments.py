"""Parameters per environment: inherited, complete before anything is touched, and no secret in git or in a message."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from nifi_flows import definition
from nifi_flows.environments import Environment, heals, load, parse, resolve
from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS

PLACES = {
    "kafka": "127.0.0.1:9092",
    "registry": "http://127.0.0.1:8081",
    "source": "http://127.0.0.1:8000/api/",
    "topic": USERS.topic,
    "dead_letters": USERS.dead_letters,
}
DECLARED: dict[str, dict[str, Any]] = {
    "kafka.brokers": {"sensitive": False},
    "kafka.topic": {"sensitive": False},
    "source.token": {"sensitive": True},
}
SECRET = "hunter2-Zoë"
TEXT = """
[base.parameters]
"kafka.topic" = "users"
[test]
inherits = "base"
heal = true
[test.parameters]
"kafka.brokers" = "{kafka}"
[prod]
inherits = "test"
heal = false
[prod.parameters]
"kafka.brokers" = "a:9092,b:9092"
[far]
inherits = "prod"
"""


def _resolve(text: str, name: str, **more: Any) -> Environment:
    more = {"declared": DECLARED, "variables": {"PIPELINE_PARAMETER_SOURCE_TOKEN": SECRET}, **more}
    return resolve(parse(text, "environments.toml"), name, PLACES, **more)


def _refused(text: str, name: str = "test", **more: Any) -> TerminalError:
    with pytest.raises(TerminalError) as refused:
        _resolve(text, name, **more)
    assert "\n" not in str(refused.value) + refused.value.remedy
    assert refused.value.remedy
    assert SECRET not in "".join(traceback.format_exception(refused.value)) + refused.value.remedy
    return refused.value


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.toml"
    path.write_text(f'"source.token" = "{SECRET}"\n"of.another.version" = "x"\n', encoding="utf-8")
    path.chmod(0o600)
    return path


def test_the_environments_in_git_are_complete_for_the_flow() -> None:
    declared = definition.parameters(definition.load(USERS.flow))
    environments = load(USERS.folder / "environments.toml")
    local = resolve(environments, "local", PLACES, declared, given=["flow.version"], variables={})
    assert local.heal
    assert local.values == {
        "kafka.brokers": "127.0.0.1:9092",
        "kafka.dead.letter.topic": "user_data_topic.dlq",
        "kafka.topic": "user_data_topic",
        "registry.url": "http://127.0.0.1:8081",
        "run.interval": "0 ms",
        "run.page.size": "1000",
        "run.pages": "10",
        "run.seed": "users",
        "source.name": "embedded",
        "source.url": "http://127.0.0.1:8000/api/",
    }


@pytest.mark.parametrize(
    ("name", "brokers", "heal"),
    [("test", "127.0.0.1:9092", True), ("prod", "a:9092,b:9092", False), ("far", "a:9092,b:9092", False)],
)
def test_an_environment_has_what_it_inherits_and_its_own_before_that(name: str, brokers: str, heal: bool) -> None:
    made = _resolve(TEXT, name)
    assert made.values == {"kafka.topic": "users", "kafka.brokers": brokers, "source.token": SECRET}
    assert (made.name, made.heal, heals(parse(TEXT, ""), name)) == (name, heal, heal)


def test_what_only_others_inherit_is_an_environment_too_and_is_not_healed_unasked() -> None:
    made = _resolve(TEXT, "base", given=["kafka.brokers"])
    assert made.values == {"kafka.topic": "users", "source.token": SECRET}
    assert made.heal is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{source}?seed=1", "http://127.0.0.1:8000/api/?seed=1"),
        ("{kafka},{kafka}", "127.0.0.1:9092,127.0.0.1:9092"),
        ("${kafka}#{kafka}", "${kafka}#{kafka}"),
        (r"\\d{4}{}", r"\d{4}{}"),
        ("", ""),
    ],
)
def test_places_stand_for_addresses_and_other_braces_for_themselves(text: str, value: str) -> None:
    given = f'[test.parameters]\n"kafka.topic" = "{text}"\n'
    assert _resolve(given, "test", given=["kafka.brokers"]).values["kafka.topic"] == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[test\n", ["no TOML", "line 1"]),
        ("a = " + "[" * 5000, ["no TOML"]),
        ("test = 1", ["'test' is no environment"]),
        ("[test]\nparent = 'base'", ["test", "unknown key 'parent'"]),
        ("[test]\n'kafka.topic' = 'x'", ["test", "unknown key 'kafka.topic'"]),
        ("[test]\ninherits = ['base']", ["test", "'inherits' is no text"]),
        ("[test]\ninherits = 'best'", ["test", "no environment: 'best'"]),
        ("[test]\ninherits = 'test'", ["test", "goes round: test > test"]),
        ("[a]\ninherits = 'b'\n[b]\ninherits = 'c'\n[c]\ninherits = 'b'", ["c", "goes round: a > b > c > b"]),
        ("[test]\nheal = 'yes'", ["test", "'heal' is neither"]),
        ("[test]\nheal = 1", ["test", "'heal' is neither"]),
        ("[test]\nparameters = 'x'", ["test", "'parameters' is no table"]),
        ("[test.parameters]\nkafka.topic = 'x'", ["test", "'kafka' is a table"]),
        ("[test.parameters]\n'kafka.topic' = 10", ["test", "'kafka.topic' is no text"]),
        ("[test.parameters]\n'kafka.topic' = ['x']", ["test", "'kafka.topic' is no text"]),
        ("[test.parameters]\n\"kafka\\ntopic\" = 'x'", ["test", r"'kafka\ntopic' is no name"]),
        ('["\\u001b[2J"]', [r"'\x1b[2J' is no name"]),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_environment_and_key(text: str, told: list[str]) -> None:
    said = str(_refused(text))
    assert said.startswith("environments.toml")
    assert all(part in said for part in told), said


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "environments.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TerminalError, match=str(path)):
        load(path)


def test_an_environment_that_does_not_exist_is_named_with_those_that_do() -> None:
    refused = _refused(TEXT, "produ")
    assert "'produ'" in str(refused)
    assert refused.remedy == "it has base, test, prod, far; is prod meant?"
    with pytest.raises(TerminalError, match="'produ'"):
        heals(parse(TEXT, "environments.toml"), "produ")


def test_a_parameter_that_the_flow_does_not_declare_is_refused_with_those_that_it_does() -> None:
    refused = _refused(TEXT + '[far.parameters]\n"kafka.topics" = "x"', "far")
    assert "far" in str(refused) and "kafka.topics" in str(refused)
    assert refused.remedy == "it has kafka.brokers, kafka.topic, source.token; is kafka.topic meant?"
    assert _resolve(TEXT + '[far.parameters]\n"kafka.topics" = "x"', "prod").name == "prod"


def test_a_place_that_stands_for_nothing_is_refused_by_name() -> None:
    refused = _refused('[test.parameters]\n"kafka.brokers" = "{kafak}"')
    assert str(refused) == "environments.toml, test, 'kafka.brokers': {kafak} stands for nothing"
    assert "{kafka}, {registry}, {source}" in refused.remedy


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    refused = _refused("[test]", variables={}, secrets=tmp_path / "secrets.toml")
    assert "no value for kafka.brokers, kafka.topic, source.token" in str(refused)
    assert "kafka.brokers, kafka.topic in [test.parameters]" in refused.remedy
    assert "PIPELINE_PARAMETER_SOURCE_TOKEN" in refused.remedy
    assert f"{tmp_path}/secrets.toml (mode 600)" in refused.remedy


def test_what_the_caller_gives_is_not_missing() -> None:
    assert _resolve("[test]", "test", variables={}, given=list(DECLARED)).values == {}


@pytest.mark.parametrize("name", ["test", "base"])
def test_a_sensitive_value_in_the_file_is_refused_whichever_environment_is_deployed(name: str) -> None:
    refused = _refused(TEXT + f'[far.parameters]\n"source.token" = "{SECRET}"', name)
    assert "far" in str(refused) and "source.token" in str(refused)
    assert "PIPELINE_PARAMETER_SOURCE_TOKEN" in refused.remedy


def test_sensitive_values_come_from_the_secrets_file_and_variables_go_before_it(secrets: Path) -> None:
    assert _resolve(TEXT, "test", secrets=secrets, variables={}).values["source.token"] == SECRET
    variables = {"PIPELINE_PARAMETER_SOURCE_TOKEN": "newer", "PIPELINE_PARAMETER_OF_ANOTHER_VERSION": "x"}
    made = _resolve(TEXT, "test", secrets=secrets, variables=variables)
    assert made.values["source.token"] == "newer"
    assert set(made.values) == set(DECLARED)


def test_an_empty_secret_is_none(secrets: Path) -> None:
    secrets.write_text('"source.token" = ""\n')
    refused = _refused(TEXT, secrets=secrets, variables={"PIPELINE_PARAMETER_SOURCE_TOKEN": ""})
    assert "no value for source.token" in str(refused)


def test_sensitive_values_are_not_shown(secrets: Path) -> None:
    made = _resolve(TEXT, "test", secrets=secrets, variables={})
    assert SECRET in made.values.values()
    assert SECRET not in f"{made!r} {made}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_secrets_file_that_others_can_read_or_write_is_refused(secrets: Path, mode: int) -> None:
    secrets.chmod(mode)
    refused = _refused(TEXT, secrets=secrets)
    assert f"its mode is {mode:o}" in str(refused)
    assert refused.remedy == f"chmod 600 {secrets}"


@pytest.mark.parametrize(
    "content",
    [
        f'"source.token" = {SECRET}',
        f'"source.token" = "{SECRET}',
        f'source.token = "{SECRET}"',
        f'"source.token" = ["{SECRET}"]',
        f'"kafka.topic" = "{SECRET}"',
        "\N{BYTE ORDER MARK}" + SECRET,
        "a = " + "[" * 5000,
    ],
)
def test_a_secrets_file_that_is_wrong_is_named_without_what_it_holds(secrets: Path, content: str) -> None:
    secrets.write_text(content, encoding="utf-8")
    assert str(secrets) in str(_refused(TEXT, secrets=secrets, variables={}))


def test_a_secrets_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path} cannot be read" in str(_refused(TEXT, secrets=tmp_path))


def test_a_variable_for_a_parameter_that_is_not_sensitive_is_refused() -> None:
    refused = _refused(TEXT, variables={"PIPELINE_PARAMETER_KAFKA_TOPIC": "x"})
    assert "PIPELINE_PARAMETER_KAFKA_TOPIC gives 'kafka.topic', which is not sensitive" in str(refused)


def test_a_variable_that_may_mean_two_parameters_is_refused() -> None:
    declared = {**DECLARED, "source-token": {"sensitive": True}}
    refused = _refused(TEXT, declared=declared)
    assert str(refused) == "PIPELINE_PARAMETER_SOURCE_TOKEN may mean source-token, source.token"
