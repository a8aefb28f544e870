"""Connections and what they connect: nothing dangles, overflows, expires, or is dropped unseen."""

import re
from collections import Counter
from collections.abc import Iterator

from nifi_flows.inventory import ALLOWED, FORBIDDEN, REQUIRED
from nifi_flows.lint.finding import Severity
from nifi_flows.lint.rule import Rule, Violation
from nifi_flows.lint.subject import PlacedComponent, Subject, end_name

# Of NiFi's own processors, some that do nothing without input, for when no inventory says it of all.
_NEED_INPUT = re.compile(
    "AttributesToJSON|CompressContent|ControlRate|ConvertRecord|DistributeLoad|EvaluateJsonPath|EvaluateXPath"
    "|ExtractText|FetchFile|FetchSFTP|FlattenJson|ForkEnrichment|ForkRecord|HandleHttpResponse|JoinEnrichment"
    "|JoltTransformJSON|LogAttribute|LogMessage|LookupRecord|MergeContent|MergeRecord|Notify|PartitionRecord"
    "|PublishKafka|Put(DatabaseRecord|Email|File|S3Object|SFTP|SQL)|QueryRecord|ReplaceText|RetryFlowFile"
    "|RouteOnAttribute|RouteOnContent|RouteText|Split(Content|Json|Record|Text|Xml)|UnpackContent|UpdateAttribute"
    "|UpdateRecord|ValidateRecord|Wait"
)
# Those that make a FlowFile, or ask somebody, each time they are scheduled. Others wait when there is nothing to do.
_BUSY = re.compile("ExecuteProcess|ExecuteSQL|ExecuteSQLRecord|GenerateFlowFile|GenerateRecord|InvokeHTTP")
# Those that fail without a FlowFile when none came in.
_ASKS = re.compile("ExecuteSQL(Record)?|GenerateTableFetch|InvokeHTTP")
_OWN = "org.apache.nifi.processors."  # of what NiFi itself brings
# NiFi's inventory does not say that this one has a relationship more when it keeps state.
_UPDATE, _STATELESS = "org.apache.nifi.processors.attributes.UpdateAttribute", "Do not store state"
_STATE_FAILED = "set state fail"
_ROUTE, _BY_NAME = "org.apache.nifi.processors.standard.RouteOnAttribute", "Route to Property name"
_CONNECT = "connect it, or end it on the processor's Relationships tab"


def dangling(subject: Subject) -> Iterator[Violation]:
    for connection in subject.of("connections"):
        for end in ("source", "destination"):
            told = connection.contents.get(end) or {}
            if str(told.get("id")) in subject.remote:
                continue
            part = subject.end(connection, end)
            if part is None:
                message = f"its {end} {end_name(connection.contents, end)!r} is not in the flow"
                yield Violation(connection.where, message, "export the flow again, or remove the connection")
            elif told.get("groupId") not in (None, part.group.contents["identifier"]):
                message = f"its {end} {part.name!r} is in {part.group.name!r}, not in the group that it names"
                yield Violation(connection.where, message, "export the flow again")


def no_back_pressure(subject: Subject) -> Iterator[Violation]:
    for connection in subject.of("connections"):
        told = connection.contents
        for key, what in (
            ("backPressureObjectThreshold", "the number of FlowFiles"),
            ("backPressureDataSizeThreshold", "the size of what waits"),
        ):
            value = told.get(key)
            if value is None:
                message = f"sets no limit to {what}: that of the group it lands in counts"
            elif re.fullmatch(r"0+(\.0+)?\s*[A-Za-z]*", str(value).strip()):
                message = f"has no limit to {what}"
            else:
                continue
            yield Violation(connection.where, message, "set its back-pressure threshold to what may wait there")


def expiration(subject: Subject) -> Iterator[Violation]:
    for connection in subject.of("connections"):
        period = str(connection.contents.get("flowFileExpiration") or "0 sec")
        if not re.match(r"\s*0+(\.0+)?(\s|[A-Za-z]|$)", period):
            message = f"drops what waits longer than {period}"
            yield Violation(connection.where, message, "set its FlowFile expiration to 0 sec")


def loss(subject: Subject) -> Iterator[Violation]:
    lossy = re.compile(subject.options.lossy)
    for processor in subject.of("processors"):
        connected = _connected(subject, processor)
        for name in sorted(processor.listed("autoTerminatedRelationships")):
            if lossy.search(_words(name)) and name not in connected and _may_lose(subject, processor, name):
                where = f"{processor.where} / {name}"
                message = f"what goes to {name!r} ends here, and is gone"
                yield Violation(where, message, "connect it to where it waits or is kept, or excuse it in lint.toml")


def _may_lose(subject: Subject, processor: PlacedComponent, relationship: str) -> bool:
    """Whether data may go to a relationship that sounds like it."""
    if not processor.type.startswith(_OWN):
        return True
    if _ASKS.fullmatch(processor.simple_type):
        return subject.fed(processor)
    # What these two look for in vain becomes an empty attribute; XPath's node sets are an exception, XQuery is another.
    given = processor.properties
    empty = processor.simple_type == "EvaluateJsonPath" or (
        processor.simple_type == "EvaluateXPath" and given.get("Return Type") != "nodeset"
    )
    return not (empty and relationship == "unmatched" and given.get("Destination") == "flowfile-attribute")


def _words(name: str) -> str:
    """set_state_fail and parseFailure as words of their own."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_./-]", " ", name)


def loose(subject: Subject) -> Iterator[Violation]:
    for processor in subject.of("processors"):
        known = _relationships(subject, processor)
        if known is None:
            continue
        goes = _connected(subject, processor) | set(processor.listed("autoTerminatedRelationships"))
        for name in sorted(known - goes):
            message = f"its relationship {name!r} goes nowhere, so NiFi will not start it"
            yield Violation(f"{processor.where} / {name}", message, _CONNECT)


def unknown_relationship(subject: Subject) -> Iterator[Violation]:
    for processor in subject.of("processors"):
        known = _relationships(subject, processor)
        if known is None:
            continue
        named = _connected(subject, processor)
        if subject.ours(processor):
            named |= {name for key in ("autoTerminatedRelationships", "retriedRelationships")
                      for name in processor.listed(key)}  # fmt: skip
        for name in sorted(named - known):
            message = f"has no relationship {name!r}; it has {', '.join(sorted(known))}"
            yield Violation(f"{processor.where} / {name}", message, "take one that it has")


def _connected(subject: Subject, processor: PlacedComponent) -> set[str]:
    leaving = subject.out_of.get(processor.key, [])
    return {name for connection in leaving for name in connection.listed("selectedRelationships")}


def _relationships(subject: Subject, processor: PlacedComponent) -> set[str] | None:
    """All that it has, as far as that can be told."""
    if processor.type == _ROUTE:
        if processor.properties.get("Routing Strategy", _BY_NAME) != _BY_NAME:
            return None
        return {"unmatched", *(set(processor.properties) - {"Routing Strategy"})}
    defined = subject.defined(processor)
    if defined is None or defined.relationships is None:
        return None
    stateful = processor.type == _UPDATE and processor.properties.get("Store State", _STATELESS) != _STATELESS
    return {*defined.relationships, *([_STATE_FAILED] if stateful else [])}


def _input(subject: Subject, processor: PlacedComponent) -> str | None:
    defined = subject.defined(processor)
    if defined and defined.input:
        return defined.input
    needs = processor.type.startswith(_OWN) and _NEED_INPUT.fullmatch(processor.simple_type)
    return REQUIRED if needs else None


def unreachable(subject: Subject) -> Iterator[Violation]:
    for part in subject.of("processors", "funnels", "outputPorts", "inputPorts"):
        if subject.fed(part) or part.identifier in subject.remote:
            continue
        if part.kind == "processors" and _input(subject, part) != REQUIRED:
            continue
        outside = len(part.group.path) == 1 or part.contents.get("allowRemoteAccess")
        if part.kind == "inputPorts" and (outside or part.contents.get("portFunction") == "FAILURE"):
            continue
        yield Violation(part.where, "nothing leads to it, so it never does anything", "connect it, or remove it")


def dead_end(subject: Subject) -> Iterator[Violation]:
    for part in subject.of("processors", "funnels", "outputPorts", "inputPorts"):
        if not subject.fed(part) and part.kind != "inputPorts":  # it is unreachable, or a source
            continue
        if subject.leads_on(part):
            continue
        if part.kind == "processors" and (part.listed("autoTerminatedRelationships") or not _goes_on(subject, part)):
            continue
        if part.kind == "outputPorts" and (len(part.group.path) == 1 or part.contents.get("allowRemoteAccess")):
            continue
        if part.kind == "funnels" and _keeps_failures(subject, part):
            continue
        yield Violation(part.where, "nothing leaves it: what comes in stays in front of it", "connect it, or remove it")


def _keeps_failures(subject: Subject, funnel: PlacedComponent) -> bool:
    """Whether it is a place where only what failed waits, rather than being lost."""
    lossy = re.compile(subject.options.lossy)
    carried = [connection.listed("selectedRelationships") for connection in subject.into[funnel.key]]
    return all(names and all(lossy.search(_words(name)) for name in names) for names in carried)


def _goes_on(subject: Subject, processor: PlacedComponent) -> bool:
    """Whether it is known to have a relationship; a few processors have none."""
    defined = subject.defined(processor)
    if defined and defined.relationships is not None:
        return bool(defined.relationships)
    return bool(processor.type.startswith(_OWN) and _NEED_INPUT.fullmatch(processor.simple_type))


def wrong_input(subject: Subject) -> Iterator[Violation]:
    for processor in subject.of("processors"):
        if _input(subject, processor) == FORBIDDEN and subject.into.get(processor.key):
            message = f"{processor.simple_type} takes no input, but a connection leads to it"
            yield Violation(processor.where, message, "remove the connection")


def disabled(subject: Subject) -> Iterator[Violation]:
    for part in subject.of("processors", "inputPorts", "outputPorts"):
        if part.contents.get("scheduledState") == "DISABLED":
            yield Violation(part.where, "it is disabled: it will not be started", "enable it, or remove it")


def busy(subject: Subject) -> Iterator[Violation]:
    for processor in subject.of("processors"):
        strategy = processor.contents.get("schedulingStrategy")
        if strategy == "EVENT_DRIVEN":
            message = "is driven by events, which NiFi 2 no longer knows"
            yield Violation(processor.where, message, "schedule it by timer")
            continue
        period = str(processor.contents.get("schedulingPeriod") or "")
        if strategy != "TIMER_DRIVEN" or not re.match(r"\s*0+(\.0+)?(\s|[A-Za-z]|$)", period):
            continue
        source = not subject.fed(processor) and _input(subject, processor) in (None, ALLOWED, FORBIDDEN)
        known = processor.type.startswith(_OWN) and _BUSY.fullmatch(processor.simple_type)
        ours = subject.ours(processor)
        if source and (known or (ours and ours.definition.input == FORBIDDEN)):
            message = "starts again as soon as it has ended, as fast as the machine can"
            yield Violation(processor.where, message, "give it a run schedule, such as 1 sec")


def unnamed_connection(subject: Subject) -> Iterator[Violation]:
    between = Counter(_label(connection) for connection in subject.of("connections"))
    for connection in subject.of("connections"):
        if between[_label(connection)] > 1 and not connection.name.strip():
            source, destination = (end_name(connection.contents, end) for end in ("source", "destination"))
            message = f"is one of several from {source!r} to {destination!r}, and has no name"
            yield Violation(connection.where, message, "name each of them by what it carries")


def _label(connection: PlacedComponent) -> tuple[object, ...]:
    """Its ends, and what the canvas shows of it in place of a name."""
    ends = (str((connection.contents.get(end) or {}).get("id")) for end in ("source", "destination"))
    return (connection.group.identifiers, *ends, *sorted(connection.listed("selectedRelationships")))


RULES = (
    Rule("NF010", "dangling-connection", "NiFi refuses a connection whose end is not in the flow.", dangling),
    Rule("NF011", "no-back-pressure", "A queue without a limit fills the disk when what follows it stands still.",
         no_back_pressure),
    Rule("NF012", "expiration", "FlowFiles that expire are lost without a trace.", expiration),
    Rule("NF013", "failure-ends", "What ends in a failure, retry or no match is data lost.", loss),
    Rule("NF014", "loose-relationship", "A relationship that goes nowhere keeps its processor from starting.", loose),
    Rule("NF015", "unknown-relationship", "A connection of a relationship that is not there never carries anything.",
         unknown_relationship),
    Rule("NF016", "unreachable", "A component that nothing leads to is forgotten, or its connection is.", unreachable,
         Severity.warning),
    Rule("NF017", "dead-end", "What leads nowhere fills its queue and then stops what is before it.", dead_end,
         Severity.warning),
    Rule("NF018", "disabled", "A disabled component stays as it is when the flow is started.", disabled,
         Severity.warning),
    Rule("NF019", "busy-source", "A source without a schedule floods the flow or whom it asks.", busy),
    Rule("NF020", "wrong-input", "A source with a connection to it is invalid.", wrong_input),
    Rule("NF022", "unnamed-connection", "Queues of one relationship between two ends are told apart by name alone.",
         unnamed_connection, Severity.warning),
)  # fmt: skip
