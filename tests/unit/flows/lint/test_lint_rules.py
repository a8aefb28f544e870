"""Each rule finds what it is there for in a flow that is broken once, and finds nothing in our own."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nifi_flows.lint import RULES
from tests.unit.flows.lint.linting import (
    OURS,
    PROCESSORS,
    SERVICE,
    STANDARD,
    add_copy,
    connection,
    declared,
    disconnect,
    found,
    funnel,
    named,
    processor,
    property_,
    setting,
    target,
    twin,
)
from tests.unit.flows.small_flows import FlowDefinition


@dataclass(frozen=True)
class Bad:
    """One mutation of our flow. where: a part of where the finding is. changes: what else lint is given."""

    code: str
    where: str
    mutate: Callable[[FlowDefinition], object]
    given: Callable[[Path], dict[str, Any]] = lambda _: {}


def broken_processors(folder: Path, old: str, new: str) -> dict[str, Any]:
    made = folder / "nifi_processors" / "processors"
    shutil.copytree(PROCESSORS, made)
    path = made / "pull_run.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return {"processors": made}


def drop_failures(flow: FlowDefinition) -> None:
    disconnect(flow, "fetch failed")
    processor(flow, "Fetch page")["autoTerminatedRelationships"] += ["Failure", "Retry", "No Retry"]


def other_end(name: str, end: str, /, **changes: object) -> Callable[[FlowDefinition], object]:
    return lambda flow: named(flow, "connections", name)[end].update(changes)


FETCH = "users / Fetch pages / Fetch page"


NIFI: Callable[[Path], dict[str, Any]] = lambda _: {"inventory": target(OURS)}  # noqa: E731


BAD = [
    Bad(
        "NF002",
        "users / copy",
        lambda flow: add_copy(flow, name="copy", identifier=processor(flow, "Due?")["identifier"]),
    ),
    Bad("NF003", FETCH, setting("Fetch page", type=f"{STANDARD}.GetHTTP"), lambda _: {"previous": OURS}),
    Bad("NF004", "users / nifi-standard-nar", lambda flow: processor(flow, "Due?")["bundle"].update(version="2.2.0")),
    Bad("NF010", "users / stamped", other_end("stamped", "destination", id="gone", name="gone")),
    Bad("NF010", "users / stamped", other_end("stamped", "source", groupId="elsewhere")),
    Bad("NF011", "users / stamped", connection("stamped", backPressureObjectThreshold=0)),
    Bad("NF011", "users / stamped", connection("stamped", backPressureDataSizeThreshold="0 B")),
    Bad("NF011", "users / stamped", connection("stamped", backPressureDataSizeThreshold=None)),
    Bad("NF012", "users / stamped", connection("stamped", flowFileExpiration="10 mins")),
    Bad("NF013", f"{FETCH} / No Retry", drop_failures),
    Bad("NF013", f"{FETCH} / parseFailure", setting("Fetch page", autoTerminatedRelationships=["parseFailure"])),
    Bad("NF014", f"{FETCH} / Original", setting("Fetch page", autoTerminatedRelationships=[]), NIFI),
    Bad("NF014", "users / Any invalid? / more", property_("Any invalid?", more="${x:gt(1)}")),
    Bad("NF014", "users / Publish users / original", setting("Publish users", autoTerminatedRelationships=[])),
    Bad("NF015", FETCH, connection("page", selectedRelationships=["Respons"]), NIFI),
    Bad(
        "NF015",
        "users / Publish users / sent",
        setting("Publish users", autoTerminatedRelationships=["original", "sent"]),
    ),
    Bad("NF016", "users / Stamp time", lambda flow: disconnect(flow, "received", "outdated: other flow version")),
    Bad("NF016", "users / Fetch pages / refused", lambda flow: disconnect(flow, "refused: fetch again")),
    Bad("NF017", "users / Fetch pages / fetched", lambda flow: disconnect(flow, "received")),
    Bad("NF014", "users / Stamp time", lambda flow: disconnect(flow, "state not stored: stamp again"), NIFI),
    Bad("NF017", "users / Stamp time", lambda flow: disconnect(flow, "stamped")),
    Bad("NF017", "users / funnel", funnel),
    Bad("NF018", FETCH, setting("Fetch page", scheduledState="DISABLED")),
    Bad("NF019", "users / Pull run", setting("Pull run", schedulingPeriod="0 sec")),
    Bad("NF019", "users / make", lambda flow: add_copy(flow, name="make", type=f"{STANDARD}.GenerateFlowFile")),
    Bad("NF019", FETCH, setting("Fetch page", schedulingStrategy="EVENT_DRIVEN")),
    Bad("NF020", "users / Pull run", other_end("stamped", "destination", id=processor(OURS, "Pull run")["identifier"])),
    Bad("NF021", "users / UpdateAttribute", setting("Stamp time of receipt", name="UpdateAttribute")),
    Bad("NF021", "users / UpdateAttribute", setting("Stamp time of receipt", name=" ")),
    Bad("NF022", "Stamp time of receipt to Publish users", twin),
    Bad("NF023", "users / Publish users", setting("Publish users", position={"x": 1500.0, "y": 100.0})),
    Bad("NF030", f"{FETCH} / HTTP URL", property_("Fetch page", HTTP_URL="https://randomuser.me/api/")),
    Bad("NF030", "Kafka Brokers", property_("Publish users", Kafka_Brokers="kafka-1:9092, kafka-2:9092")),
    Bad("NF030", "users / Publish users / Topic", property_("Publish users", Topic="10.0.0.7:80")),
    Bad("NF030", f"{FETCH} / jdbc", property_("Fetch page", jdbc="jdbc:postgresql://db:5432/users")),
    Bad(
        "NF031",
        f"{FETCH} / X-Api-Key",
        lambda f: processor(f, "Fetch page")["properties"].update({"X-Api-Key": "k7Hq2"}),
    ),
    Bad("NF031", f"{FETCH} / Request Password", property_("Fetch page", Request_Password="hunter2")),
    Bad("NF031", f"{FETCH} / HTTP URL", property_("Fetch page", HTTP_URL="https://me:hunter2@#{source.url}")),
    Bad(
        "NF031",
        "parameters / users / run.seed",
        lambda f: declared(f)[0].update(name="run.seed", value="AKIA" + "Q" * 16),
    ),
    Bad("NF032", "kafka.brokers", lambda flow: declared(flow)[1].update(sensitive=True, value="x")),
    Bad("NF033", f"{FETCH} / Store", property_("Fetch page", Store="/home/me/users.json")),
    Bad("NF040", f"{FETCH} / HTTP URL", property_("Fetch page", HTTP_URL="#{source.ulr}")),
    Bad(
        "NF040",
        "users / Fetch pages / Due? / due",
        lambda f: named(f, "processGroups", "Fetch pages").pop("parameterContextName"),
    ),
    Bad("NF041", "parameters / users / kafka.topic", property_("Publish users", Topic="##{kafka.topic}")),
    Bad("NF042", "kafka.topic", lambda _: None, lambda _: {"environments_values": {"kafka.topic": None}}),
    Bad("NF042", "parameters / mine", lambda _: None, lambda _: {"environments_values": {"mine": "x"}}),
    Bad("NF050", FETCH, setting("Fetch page", type=f"{STANDARD}.FetchHTTP"), NIFI),
    Bad("NF050", FETCH, lambda flow: processor(flow, "Fetch page")["bundle"].update(version="2.4.0"), NIFI),
    Bad("NF051", f"{FETCH} / HTTP Verb", property_("Fetch page", HTTP_Verb="GET"), NIFI),
    Bad("NF051", "users / Publish users / Acks", property_("Publish users", Acks="all")),
    Bad("NF052", f"{FETCH} / HTTP Method", property_("Fetch page", HTTP_Method="FETCH"), NIFI),
    Bad("NF053", f"{FETCH} / HTTP URL", lambda f: processor(f, "Fetch page")["properties"].pop("HTTP URL"), NIFI),
    Bad("NF053", "Kafka Brokers", lambda f: processor(f, "Publish users")["properties"].pop("Kafka Brokers")),
    Bad("NF054", f"{FETCH} / SSL", property_("Fetch page", SSL_Context_Service=SERVICE), NIFI),
    Bad(
        "NF060",
        "pull_run.py",
        lambda _: None,
        lambda to: broken_processors(to, 'version = "0.1.0"', "version = VERSION"),
    ),
    Bad("NF060", "pull_run.py", lambda _: None, lambda to: broken_processors(to, "import time", "import (")),
    Bad("NF061", "users / Pull run", lambda flow: processor(flow, "Pull run")["bundle"].update(version="9")),
    Bad("NF061", "users / Pull run", setting("Pull run", type="PullRuns")),
]


def test_our_flow_is_clean_alone_and_on_a_nifi() -> None:
    assert found(OURS) == []
    assert found(OURS, inventory=target(OURS), previous=OURS) == []


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.code}-{bad.where}")
def test_a_rule_finds_what_it_is_for(bad: Bad, tmp_path: Path) -> None:
    flow = copy.deepcopy(OURS)
    bad.mutate(flow)
    told = [one for one in found(flow, **bad.given(tmp_path)) if one.code == bad.code and bad.where in one.where]
    assert told
    for finding in told:
        assert finding.message and finding.remedy
        assert "hunter2" not in str(finding) and "k7Hq2" not in str(finding)


def test_every_rule_has_a_bad_flow_and_a_code_of_its_own() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes) == len({rule.name for rule in RULES})
    of_the_file, of_the_excuses = "NF001", "NF090"  # see test_lint_config.py
    assert set(codes) - {bad.code for bad in BAD} == {of_the_file, of_the_excuses}


def test_a_long_flow_is_linted_whole() -> None:
    flow = copy.deepcopy(OURS)
    group = flow["flowContents"]
    stamp, between = processor(flow, "Stamp time of receipt"), named(flow, "connections", "stamped")
    before = stamp
    for n in range(200):
        after = {**stamp, "identifier": f"p{n}", "name": f"stamp {n}", "position": {"x": n * 400.0, "y": 5000.0}}
        source, destination = ({"id": one["identifier"], "name": one["name"]} for one in (before, after))
        ends = {"source": source, "destination": destination, "identifier": f"c{n}", "name": after["name"]}
        group["processors"].append(after)
        group["connections"].append({**between, **ends})
        before = after
    before["autoTerminatedRelationships"] = ["success"]
    assert found(flow) == []
    before["position"] = stamp["position"]
    assert [one.code for one in found(flow)] == ["NF023"]
