"""Ask a source for one user before anything is built on it."""

import requests

from nifi_flows.errors import TerminalError, TransientError


def check_source(url: str) -> None:
    """Raise when `url` does not answer as randomuser.me does. A source that only limits the rate is fine."""
    shown = url.split("?")[0]
    try:
        response = requests.get(url, params={"results": "1", "page": "1", "seed": "probe"}, timeout=20)
    except requests.RequestException as error:
        reason = str(getattr(error.args[0], "reason", error) if error.args else error)
        raise TransientError(f"the source {shown} does not answer: {reason[:200]}", "check the URL, then the network")
    if response.status_code == 429:
        return
    if not response.ok:
        raise TransientError(
            f"the source {shown} answers {response.status_code} {response.reason}", "check the URL, or try later"
        )
    try:
        results = response.json()["results"]
    except (ValueError, KeyError, TypeError):
        results = None
    if not isinstance(results, list) or not results:
        kind = response.headers.get("Content-Type", "no content type")
        raise TerminalError(
            f"the source {shown} answers {kind}, but no page of users",
            'give the URL of an API that speaks as randomuser.me does: {"results": [...], "info": {...}}',
        )
