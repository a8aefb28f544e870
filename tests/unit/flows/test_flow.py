"""The flow in git keeps its promises: what waits, what is retried, what ends where, and what it says of itself."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from nifi_flows import definition
from nifi_flows.environments import load, resolve
from nifi_flows.pipeline import USERS
from nifi_flows.queues import leading_to_removed
from nifi_processors.publish import ATTRIBUTES
from nifi_processors.pull_run import Run, attributes
from nifi_processors.stamp import SPACING, STAMP
from scripts.bootstrap import ROOT
from scripts.source.misbehave import FORGED

RUN = Run("s", "http://s.test/", "x", 1, 1, 0)
FLOW_TEXT = USERS.flow.read_text()
CONTENTS: dict[str, Any] = definition.load(USERS.flow)["flowContents"]
PARAMETERS: dict[str, dict[str, Any]] = {
    parameter["name"]: parameter
    for context in definition.load(USERS.flow)["parameterContexts"].values()
    for parameter in context["parameters"]
}

# Where NiFi's own processors put FlowFiles, and what it adds to a Python processor's own relationships.
RELATIONSHIPS = {
    "org.apache.nifi.processors.standard.InvokeHTTP": {"Original", "Response", "Failure", "Retry", "No Retry"},
    "org.apache.nifi.processors.attributes.UpdateAttribute": {"success"},
}
STATEFUL = {"success", "set state fail"}  # of an UpdateAttribute with state
ADDED = {"FlowFileTransform": {"failure", "original"}, "FlowFileSource": {"success"}}

# Nothing is lost where these end: a request without its page, a page that is published, an empty page, and a page of
# a run that is over which the source has never handed out.
ENDS = {
    ("Fetch page", "Original"),
    ("Due?", "abandoned"),
    ("Publish users", "original"),
    ("Any invalid?", "unmatched"),
    ("Publish dead letters", "original"),
    ("Publish dead letters", "success"),
}

# As NiFi 2.3 draws them, in the canvas' units.
SIZES = {"PROCESSOR": (350, 130), "PROCESS_GROUP": (384, 176), "INPUT_PORT": (240, 50), "OUTPUT_PORT": (240, 50)}


def _groups(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield group
    for inner in group["processGroups"]:
        yield from _groups(inner)


@dataclass(frozen=True)
class PythonProcessor:
    """What a class of ours says of itself. properties, relationships: names."""

    version: str
    properties: set[str]
    relationships: set[str]


def _python_processors() -> dict[str, PythonProcessor]:
    """Class -> what its file says, read as syntax, as NiFi does."""
    found = {}
    for path in sorted(Path(ROOT, "nifi_processors", "processors").glob("[!_]*.py")):
        for node in (n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)):
            details = [n for n in node.body if isinstance(n, ast.ClassDef) and n.name == "ProcessorDetails"]
            if not details:
                continue
            calls = [n for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
            named = {"PropertyDescriptor": set[str](), "Relationship": set[str]()}
            for call in calls:
                arguments = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
                if isinstance(call.func, ast.Name) and call.func.id in named:
                    named[call.func.id].add(ast.literal_eval(arguments[0]))
            assigned = {ast.unparse(n.targets[0]): n.value for n in details[0].body if isinstance(n, ast.Assign)}
            added = {name for base in node.bases for name in ADDED[ast.unparse(base)]}
            found[node.name] = PythonProcessor(
                ast.literal_eval(assigned["version"]), named["PropertyDescriptor"], named["Relationship"] | added
            )
    return found


PYTHON = _python_processors()
GROUPS = {group["name"]: group for group in _groups(CONTENTS)}
PROCESSORS = {p["name"]: p for group in GROUPS.values() for p in group["processors"]}
CONNECTIONS = [connection for group in GROUPS.values() for connection in group["connections"]]


def _relationships(processor: dict[str, Any]) -> set[str]:
    if processor["type"].endswith(".RouteOnAttribute"):
        return {"unmatched", *(set(processor["properties"]) - {"Routing Strategy"})}
    if processor["properties"].get("Store State") == "Store state locally":
        return STATEFUL
    if processor["type"] in PYTHON:
        return PYTHON[processor["type"]].relationships
    return RELATIONSHIPS[processor["type"]]


def _leaving(name: str) -> list[dict[str, Any]]:
    return [connection for connection in CONNECTIONS if connection["source"]["name"] == name]


def test_the_flow_has_the_way_of_the_data() -> None:
    inside = ["Pull run", "pages", "Due?", "Fetch page", "fetched"]
    way = [*inside, "Stamp time of receipt", "Publish users", "Any invalid?", "Publish dead letters"]
    for source, destination in pairwise(way):
        assert destination in {c["destination"]["name"] for c in _leaving(source)}, (source, destination)


def test_every_component_has_a_name_of_its_own() -> None:
    names = [p["name"] for group in GROUPS.values() for p in group["processors"]]
    assert len(set(names)) == len(names)
    for name, processor in PROCESSORS.items():
        assert name.strip()
        assert name != processor["type"].rpartition(".")[2], "a name says what it is for, not what class it is"
    for connection in CONNECTIONS:
        assert connection.get("name", "").strip(), connection


def test_every_processor_that_ends_or_repeats_something_says_why() -> None:
    for name, processor in PROCESSORS.items():
        if processor["autoTerminatedRelationships"]:
            assert processor["comments"].strip(), name


def test_nothing_ends_but_what_holds_no_record_any_more() -> None:
    ends = {(name, end) for name, p in PROCESSORS.items() for end in p["autoTerminatedRelationships"]}
    assert ends == ENDS


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_relationship_goes_somewhere(name: str) -> None:
    processor = PROCESSORS[name]
    connected = {relationship for c in _leaving(name) for relationship in c["selectedRelationships"]}
    ended = set(processor["autoTerminatedRelationships"])
    assert connected | ended == _relationships(processor)
    assert not connected & ended


@pytest.mark.parametrize("connection", CONNECTIONS, ids=lambda c: f"{c['source']['name']}-{c['name']}")
def test_every_connection_holds_back_and_lets_nothing_expire(connection: dict[str, Any]) -> None:
    group = next(g for g in GROUPS.values() if connection in g["connections"])
    assert 0 < connection["backPressureObjectThreshold"] <= 1000
    assert connection["backPressureObjectThreshold"] != group["defaultBackPressureObjectThreshold"], "set on purpose"
    size, unit = connection["backPressureDataSizeThreshold"].split()
    assert int(size) > 0
    assert unit in ("MB", "GB")
    assert connection["flowFileExpiration"] == "0 sec"
    assert connection["loadBalanceStrategy"] == "DO_NOT_LOAD_BALANCE"


@pytest.mark.parametrize("name", ["Publish users", "Publish dead letters"])
def test_a_failed_publication_is_tried_again_waits_and_comes_back(name: str) -> None:
    processor = PROCESSORS[name]
    assert processor["retriedRelationships"] == ["failure"]
    assert processor["retryCount"] >= 3
    assert processor["backoffMechanism"] == "PENALIZE_FLOWFILE", "another page need not wait for this one"
    (failed,) = [c for c in _leaving(name) if "failure" in c["selectedRelationships"]]
    assert failed["destination"]["name"] == name, "a failed page waits where it can be seen and goes in again"
    assert failed["selectedRelationships"] == ["failure"]


def test_a_page_that_was_not_had_stays_in_the_loop_until_it_is_due() -> None:
    (failed,) = [c for c in _leaving("Fetch page") if "Failure" in c["selectedRelationships"]]
    assert set(failed["selectedRelationships"]) == {"Failure", "No Retry", "Retry"}
    assert failed["destination"]["name"] == "Plan retry"
    assert {c["destination"]["name"] for c in _leaving("Plan retry")} == {"Due?"}
    ways = {c["selectedRelationships"][0]: c["destination"]["name"] for c in _leaving("Due?")}
    assert ways == {"due": "Fetch page", "unmatched": "Due?"}
    plan = PROCESSORS["Plan retry"]["properties"]
    assert "Retry-After" in plan["retry:at"]
    forgotten = re.compile(plan["Delete Attributes Expression"])
    for name in ("retry-after", "Retry-After", "invokehttp.status.code", "page:error", "page:fetched_at", "page:moves"):
        assert forgotten.fullmatch(name), f"{name}: or one answer would rule over the next"
    for name in attributes(RUN, 1):
        assert not forgotten.fullmatch(name), name


def test_a_waiting_page_is_abandoned_only_with_its_run() -> None:
    route = PROCESSORS["Due?"]["properties"]
    same = "${'page:source':equals(#{source.name})"
    same += ":and(${'page:url_digest':equals(${#{source.url}:hash('SHA-256'):substring(0, 8)})})"
    same += ":and(${'page:seed':equals(#{run.seed})}):and(${'page:size':equals(#{run.page.size})})"
    known = "${'page:source':isEmpty():not():and("
    assert route["abandoned"] == known + same + ":not()})}", "or what a version with other attributes left would end"
    due = same + ":and(${'retry:at':replaceEmpty(0):le(${now():toNumber()})})}"
    assert route["due"] == due, "or it would go both ways"


def test_the_flow_whose_attributes_had_dots_in_their_names_runs_empty_before_this_one_comes() -> None:
    """Its last queue has another identifier here. NiFi removes it, and every other one leads there."""
    before = definition.load(USERS.flow)
    connections = [c for group in _groups(before["flowContents"]) for c in group["connections"]]
    for connection in connections:
        connection["instanceIdentifier"] = connection["identifier"]
    failed = [connection for connection in connections if connection["name"] == "publish failed"]
    (last,) = [connection for connection in failed if connection["source"]["name"] == "Publish dead letters"]
    assert leading_to_removed(before, definition.load(USERS.flow)) == {}
    last["identifier"] = "4a65efac-c65d-3a28-bfd6-b1cbdae6b825"
    leading = leading_to_removed(before, definition.load(USERS.flow))
    assert leading.keys() == {connection["instanceIdentifier"] for connection in connections}


def test_one_page_at_a_time_is_asked_for() -> None:
    assert GROUPS["Fetch pages"]["flowFileConcurrency"] == "SINGLE_FLOWFILE_PER_NODE"
    assert PROCESSORS["Fetch page"]["concurrentlySchedulableTaskCount"] == 1
    assert PROCESSORS["Pull run"]["executionNode"] == "PRIMARY"


def test_a_page_without_a_good_answer_yields_no_response() -> None:
    fetch = PROCESSORS["Fetch page"]["properties"]
    assert fetch["HTTP URL"] == "${'page:url'}", "of its own run, whatever the parameters say by now"
    assert fetch["Response Generation Required"] == "false", "an error page would be taken for users"
    assert fetch["Response Body Ignored"] == "false"


def test_a_page_is_stamped_with_the_time_of_its_answer_and_never_goes_back() -> None:
    stamp = PROCESSORS["Stamp time of receipt"]
    floor = "${entryDate:multiply(1000):math('max', ${getStateValue('page:floor'):plus(" + str(SPACING) + ")})}"
    kept = "${'page:fetched_at':isEmpty():ifElse(" + floor + ", ${'page:fetched_at'})}"
    assert stamp["properties"] == {
        "Store State": "Store state locally",
        "Stateful Variables Initial Value": "0",
        "canonical-value-lookup-cache-size": "100",
        "page:floor": floor,
        "page:fetched_at": kept,
        "page:flow_version": "#{flow.version}",
    }
    assert (stamp["concurrentlySchedulableTaskCount"], stamp["runDurationMillis"]) == (1, 0), "a state a page"
    ways = {c["selectedRelationships"][0]: c["destination"]["name"] for c in _leaving("Stamp time of receipt")}
    assert ways == {"success": "Publish users", "set state fail": "Stamp time of receipt"}
    outdated = [c["destination"]["name"] for c in _leaving("Publish users") if "outdated" in c["selectedRelationships"]]
    assert outdated == ["Stamp time of receipt"]
    assert PROCESSORS["Pull run"]["schedulingPeriod"] == f"{SPACING // 1000} ms", "or the floor leaves the clock behind"


def test_no_header_of_an_answer_can_be_taken_for_what_the_flow_says() -> None:
    """Headers become attributes. Of HTTP/1.1, none has a colon inside its name."""
    assert PROCESSORS["Fetch page"]["properties"]["HTTP/2 Disabled"] == "True"
    code = [path.read_text() for path in Path(ROOT, "nifi_processors").rglob("*.py")]
    text = "\n".join([FLOW_TEXT, *code])
    group = "page|retry|users|dead_letters|publish"
    ours = set(re.findall(rf"\b((?:{group}):[a-z_]+)\b", text))
    assert {*ATTRIBUTES, *STAMP, *attributes(RUN, 1)} <= ours
    assert ours <= FORGED.keys(), "the embedded source tries them all"
    read = {quoted or plain for quoted, plain in re.findall(r"\$\{(?:'([^']+)'|([\w.]+))[:}]", FLOW_TEXT)}
    told = {"Retry-After", "retry-after", "mime.type", "invokehttp.status.code", "invokehttp.java.exception.class"}
    assert read - ours - {"entryDate"} == told, "a header may say these: no page goes another way for it"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def test_parameters_are_defined_described_and_used() -> None:
    used = {name for text in _texts(CONTENTS) for name in re.findall(r"#\{'?([^}']+)'?\}", text)}
    assert used == set(PARAMETERS)
    for parameter in PARAMETERS.values():
        assert parameter["description"].strip(), parameter
        assert "value" not in parameter, "it belongs to an environment"
    assert {group["parameterContextName"] for group in GROUPS.values()} == {"users"}


def test_what_belongs_to_an_environment_is_a_parameter() -> None:
    hosts = [text for text in _texts(CONTENTS) if re.search(r"localhost|127\.0\.0\.1|https?://", text)]
    assert hosts == []
    places = {"kafka": "k:1", "registry": "http://r", "source": "http://s", "topic": "t", "dead_letters": "d"}
    values = resolve(load(USERS.environments), "local", places, PARAMETERS, given=["flow.version"]).values
    assert (values["kafka.topic"], values["kafka.dead.letter.topic"]) == ("t", "d")
    assert int(values["run.pages"]) > 0, "the run that is deployed first ends by itself"
    assert 0 < int(values["run.page.size"]) <= 5000


def test_there_is_no_secret_and_no_path_of_a_machine() -> None:
    assert not any(parameter["sensitive"] for parameter in PARAMETERS.values())
    assert not re.search(r"enc\{|-----BEGIN|AKIA[0-9A-Z]{16}", FLOW_TEXT)
    named = [key for p in PROCESSORS.values() for key in p["properties"] if re.search("(?i)password|secret|token", key)]
    assert named == []
    paths = [text for text in _texts(definition.load(USERS.flow)) if re.match(r"/|~/|[A-Za-z]:\\|file:", text)]
    assert paths == []


def test_the_flow_is_laid_out_from_left_to_right_and_nothing_overlaps() -> None:
    for name, group in GROUPS.items():
        boxes = []
        for kind in ("processors", "processGroups", "inputPorts", "outputPorts", "labels"):
            for part in group[kind]:
                width, height = SIZES.get(part["componentType"]) or (part["width"], part["height"])
                x, y = part["position"]["x"], part["position"]["y"]
                boxes.append((part.get("name") or part["label"], x, y, x + width, y + height))
        for (one, left, top, right, bottom), (other, left2, top2, right2, bottom2) in combinations(boxes, 2):
            apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
            assert apart, f"{one!r} and {other!r} overlap in {name!r}"
    order = [
        "Pull run",
        "Fetch pages",
        "Stamp time of receipt",
        "Publish users",
        "Any invalid?",
        "Publish dead letters",
    ]
    placed = {part["name"]: part["position"]["x"] for part in (*CONTENTS["processors"], *CONTENTS["processGroups"])}
    assert sorted(placed, key=lambda name: placed[name]) == order


def test_there_are_labels_that_say_what_happens() -> None:
    for name, group in GROUPS.items():
        assert group["labels"], name
        assert group["comments"].strip(), name


def test_every_python_processor_is_there_in_the_version_and_with_the_properties_of_its_class() -> None:
    deployed = {p["type"]: p for p in PROCESSORS.values() if p["bundle"]["artifact"] == "python-extensions"}
    assert set(deployed) == set(PYTHON)
    for name, processor in deployed.items():
        assert processor["bundle"]["version"] == PYTHON[name].version, name
        assert set(processor["properties"]) == PYTHON[name].properties, name


def test_every_other_processor_is_of_the_locked_nifi() -> None:
    deployed = {p["bundle"]["version"] for p in PROCESSORS.values() if p["bundle"]["artifact"] != "python-extensions"}
    lock = json.loads(Path(ROOT, "scripts", "stack", "engines.lock.json").read_text())
    locked = {path.split("/")[-2] for path in (a["path"] for a in lock) if "/nifi-standard-processors/" in path}
    assert deployed == locked


def test_everything_runs_when_the_flow_is_started() -> None:
    for group in GROUPS.values():
        assert group["controllerServices"] == []
        for part in (*group["processors"], *group["inputPorts"], *group["outputPorts"]):
            assert part["scheduledState"] == "ENABLED", part["name"]


def test_the_flow_lies_beside_its_contract() -> None:
    assert sorted(path.name for path in USERS.folder.glob("*.avsc")) == [
        "dead_letter.avsc",
        "page_receipt.avsc",
        "user.avsc",
    ]
