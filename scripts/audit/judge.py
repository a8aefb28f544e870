"""The sum that proves conservation: every record that a source handed over is a row or a dead letter."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from nifi_flows.wording import some
from scripts.observe.pull_run import RunState
from scripts.observe.records import Frames, Record

_NAMED = 5  # pages or keys that a finding names before it only counts


@dataclass(frozen=True)
class Audit:
    """counts: hop -> number, in the order of the data path. reasons: dead letters by reason code.

    findings: what does not add up, in words; empty when everything does.
    """

    counts: dict[str, int]
    reasons: dict[str, int]
    findings: list[str]


def audit(
    run: RunState,
    receipts: Mapping[str, Record],
    frames: Frames,
    letters: Mapping[str, Record],
    rows: set[UUID],
) -> Audit:
    """Hold what each hop says against the next one; see scripts/observe/records.py for the shapes."""
    keys: set[UUID] = set().union(*frames.keys.values())
    refused = {name for name, letter in letters.items() if letter["stage"] == "consumer"}
    refused_keys = len(refused - frames.undecodable)
    invalid = Counter(letter["origin"] for letter in letters.values() if letter["stage"] == "flow")
    counts = {
        "pages": len(receipts),
        "users fetched": sum(receipt["fetched"] for receipt in receipts.values()),
        "users published": sum(receipt["published"] for receipt in receipts.values()),
        "users invalid": sum(receipt["invalid"] for receipt in receipts.values()),
        "frames in topic": frames.count,
        "distinct keys in topic": len(keys),
        "dead letters of the flow": sum(invalid.values()),
        "dead letters of the consumer": len(refused),
        "rows": len(rows),
    }
    findings = [*_pages_missing(run, receipts)]
    for name, receipt in receipts.items():
        if receipt["fetched"] != receipt["published"] + receipt["invalid"]:
            findings.append(
                f"page {name}: {receipt['fetched']} fetched, but {receipt['published']} published and "
                f"{receipt['invalid']} invalid"
            )
        if invalid[name] != receipt["invalid"]:
            findings.append(f"page {name}: {receipt['invalid']} invalid, but {invalid[name]} dead letters")
        held = len(frames.keys.get(name, ()))
        if held != receipt["keys"] and not (frames.gone and held < receipt["keys"]):
            findings.append(f"page {name}: {receipt['keys']} keys published, but {held} in the topic")
    for name in sorted(set(frames.keys) - set(receipts) - {""}):
        findings.append(f"page {name}: {len(frames.keys[name])} keys in the topic, but no receipt")
    for name in sorted(set(invalid) - set(receipts)):
        findings.append(f"page {name}: {invalid[name]} dead letters, but no receipt")
    findings += _sets("keys of the topic without a row", keys - rows, allowed=refused_keys)
    if not frames.gone:
        findings += _sets("rows without a frame in the topic", rows - keys)
    findings += _sets("undecodable frames without a dead letter", frames.undecodable - refused)
    reasons = Counter(reason for letter in letters.values() for reason in letter["reasons"])
    return Audit(counts, dict(reasons.most_common()), findings)


def _pages_missing(run: RunState, receipts: Mapping[str, Record]) -> list[str]:
    """Pages that NiFi's cursor has passed and nobody has a receipt for.

    Of an earlier run nothing is known but what it left: a page that it waited for was abandoned with it. Nor is of the
    pages before the cursor's first, whose receipts are under the key that the run had before.
    """
    if run.cursor is None:
        return []
    handed_out = range(run.cursor.first_page, run.cursor.next_page)
    missing = [page for page in handed_out if f"{run.cursor.run}/{page}" not in receipts]
    if not missing:
        return []
    return [f"run {run.cursor.run}: handed out but without a receipt: pages {some(missing, _NAMED)}"]


def _sets(what: str, offenders: set[Any], allowed: int = 0) -> list[str]:
    return [f"{what}: {some(sorted(map(str, offenders)), _NAMED)}"] if len(offenders) > allowed else []
