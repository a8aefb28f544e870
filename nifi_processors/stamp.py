"""The time that a page is stamped with when it is received, and what becomes of it under another flow version.

Two records of one key and one time would mix in a row. So no two publications of records share a microsecond: the flow
stamps the pages of a source at least SPACING apart ("Stamp time of receipt"), a page's records take a microsecond each,
and a page that is published again under another flow version, with other cells, moves on by a SLOT. Pages keep their
order, since the next one begins behind all slots.
"""

from collections.abc import Mapping

from nifi_processors.page import MAX_RECORDS

SLOT = MAX_RECORDS  # microseconds
SLOTS = 4
SPACING = SLOT * SLOTS  # microseconds; pages come no faster, by the run schedule of "Pull run"

STAMP = ("page:flow_version", "page:moves")


def outdated(attributes: Mapping[str, str | None], fetched_at: int, flow_version: str) -> dict[str, str]:
    """What is to be written to a page that was stamped under another flow version; empty when it was under this one.

    attributes: of STAMP. fetched_at: its time, in microseconds. A page that has used up its slots loses its time: it is
    stamped anew, behind every page that was stamped so far.
    """
    if attributes.get("page:flow_version") == flow_version:
        return {}
    text = attributes.get("page:moves") or "0"
    moves = int(text) + 1 if text.isdecimal() else SLOTS
    if moves >= SLOTS:
        return {"page:fetched_at": "", "page:moves": "0"}
    return {"page:fetched_at": str(fetched_at + SLOT), "page:moves": str(moves)}
