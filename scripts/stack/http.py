"""Questions over HTTP that have to be answered in time, past any proxy, with errors in a few words."""

import time
from typing import Any

from nifi_flows.errors import TransientError


class Deadline:
    """So many seconds for all the requests that one question takes."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._end = time.monotonic() + patience

    @property
    def late(self) -> TransientError:
        return TransientError(f"no answer within {self._patience:g} s")

    def left(self) -> float:
        """Seconds until then. Raises TransientError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.late
        return left

    def get_json(self, url: str, **options: Any) -> Any:
        """The JSON at a URL. options: of requests.

        Raises TransientError when nobody answers in time, and HTTPError of requests for an answer that is an error.
        """
        import requests

        with requests.Session() as session:
            session.trust_env = False  # neither a proxy nor a login of the user's is for our engines
            try:
                response = session.get(url, timeout=self.left(), **options)
            except requests.Timeout as error:
                raise self.late from error
            except requests.ConnectionError as error:
                raise TransientError(cause(error)) from error
        response.raise_for_status()
        return response.json()


def get_json(url: str, patience: float, **options: Any) -> Any:
    """The JSON at a URL, within `patience` seconds. Raises as `Deadline.get_json` does."""
    return Deadline(patience).get_json(url, **options)


def cause(error: BaseException) -> str:
    """In a few words, without the layers of libraries around it."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error)
