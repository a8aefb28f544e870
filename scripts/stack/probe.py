"""Ask a source for one user before anything is built on it."""

import re

from nifi_flows.errors import TerminalError, TransientError


def check_source(url: str) -> None:
    """Raise when `url` does not answer as randomuser.me does. A source that only limits the rate is fine."""
    import requests
    from urllib3.exceptions import HTTPError

    shown = _public(url)
    try:
        response = requests.get(url, params={"results": "1", "page": "1", "seed": "probe"}, timeout=20)
    except (requests.RequestException, HTTPError) as error:  # requests lets some host names through to urllib3
        reason = _public(str(getattr(error.args[0], "reason", error) if error.args else error))[:200]
        raise TransientError(
            f"the source {shown} does not answer: {reason}", "check the URL, then the network"
        ) from error
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


def _public(text: str) -> str:
    """Without what URLs in it may hold of secrets: user, password and query."""
    return re.sub(r"//[^/@\s]*@", "//", re.sub(r"\?\S*", "", text))
