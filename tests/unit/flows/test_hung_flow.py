"""What keeps a flow from hanging while it is replaced, and how one that hangs all the same is told."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nipyapi
import pytest
from urllib3.exceptions import ReadTimeoutError

from nifi_flows import canvas
from nifi_flows.connection import NiFi, connected
from nifi_flows.errors import TerminalError, TransientError
from scripts.stack import credentials


@pytest.mark.parametrize("refused", [False, True])
def test_ports_stand_still_while_the_flow_is_replaced(monkeypatch: pytest.MonkeyPatch, refused: bool) -> None:
    """Those that stood still before go on to do so, and one that is gone afterwards is not asked for."""
    done: list[Any] = []
    ports = {"pages": "RUNNING", "fetched": "RUNNING", "off": "STOPPED"}
    busy = [SimpleNamespace(name="pages", active_thread_count=1)]

    class FlowApi:
        def schedule_components(self, order: Any, group: str) -> None:
            ports.update(dict.fromkeys(order.components, order.state))
            done.append((order.state, sorted(order.components)))

    def entities(group: str) -> list[Any]:
        return [SimpleNamespace(id=i, revision=None, component=SimpleNamespace(state=s)) for i, s in ports.items()]

    def replaced(group: str, snapshot: Any) -> None:
        done.append("replaced")
        del ports["fetched"]
        if refused:
            raise TerminalError("a connection holds data", "empty it")

    monkeypatch.setattr(nipyapi.nifi, "FlowApi", FlowApi)
    monkeypatch.setattr(canvas, "_port_entities", entities)
    monkeypatch.setattr(canvas, "_status", lambda group: None)
    monkeypatch.setattr(canvas, "_ports", lambda status: [busy.pop()] if busy else [])
    monkeypatch.setattr(canvas, "_replace", replaced)
    with pytest.raises(TerminalError) if refused else nullcontext():
        canvas.replace("group", {"parameterContexts": {}, "flowContents": {}}, {})
    assert done == [("STOPPED", ["fetched", "pages"]), "replaced", ("RUNNING", ["pages"])]
    assert not busy, "it was waited for"


def test_who_stops_processors_learns_which_of_them_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are started again if the way has to be gone back; one that stood still before is not."""
    orders: list[tuple[str, Any]] = []
    states = {"pull": "RUNNING", "off": "STOPPED", "publish": "RUNNING"}

    class FlowApi:
        def schedule_components(self, order: Any, group: str) -> None:
            orders.append((order.state, order.components))

    class ProcessGroupsApi:
        def get_processors(self, group: str, include_descendant_groups: bool) -> Any:
            listed = [
                SimpleNamespace(id=i, revision=f"r-{i}", component=SimpleNamespace(state=states[i])) for i in states
            ]
            return SimpleNamespace(processors=listed)

    monkeypatch.setattr(nipyapi.nifi, "FlowApi", FlowApi)
    monkeypatch.setattr(nipyapi.nifi, "ProcessGroupsApi", ProcessGroupsApi)
    assert canvas.stop_all("group", ["pull", "off"]) == ["pull"]
    assert orders == [("STOPPED", {"pull": "r-pull"})]
    assert canvas.stop_all("group", ["off"]) == []
    assert len(orders) == 1, "NiFi is not asked for nothing"


def test_a_replace_that_it_does_not_end_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not as what cleaning up after it meets, which would not be tried again."""

    class Api:
        def get_process_group(self, group: str) -> Any:
            return SimpleNamespace(revision=None)

        def initiate_replace_process_group(self, body: Any, group: str) -> Any:
            return SimpleNamespace(request=SimpleNamespace(request_id="r", complete=False))

        def get_replace_process_group_request(self, request: str) -> Any:
            raise ReadTimeoutError(None, "/replace-requests/r", "Read timed out.")  # type: ignore[arg-type]

        def delete_replace_process_group_request(self, request: str) -> Any:
            raise nipyapi.nifi.rest.ApiException(status=404, reason="there is no such request")

    monkeypatch.setattr(nipyapi.nifi, "ProcessGroupsApi", Api)
    monkeypatch.setattr(canvas, "_still_ports", lambda group: nullcontext())
    made = credentials.ensure(tmp_path)
    with (
        pytest.raises(TransientError, match="does not answer"),
        connected(NiFi("https://127.0.0.1:9/nifi-api", made.ca, made.admin_certificate, made.admin_key)),
    ):
        canvas.replace("group", {"parameterContexts": {}, "flowContents": {}}, {})
