"""What runs is no longer what was deployed: told in words, a line each."""

from collections.abc import Iterator, Mapping

from nifi_flows import canvas
from nifi_flows.definition import with_values
from nifi_flows.diff import Difference, compare
from nifi_flows.host import NiFiHost
from nifi_flows.ledger import Deployed
from nifi_flows.version import Version, changed_files


def by_hand(group: str, version: Version, values: Mapping[str, str]) -> Difference:
    """What was changed on the canvas since the version was deployed with these values of its parameters.

    Needs `connection.connected`.
    """
    return compare(with_values(version.flow, values), canvas.export(group))


def drift(deployed: Deployed, version: Version, host: NiFiHost) -> list[str]:
    """All that is not as it was deployed: on the canvas, of the parameters' values, stopped, or in the files."""
    said = list(_files(version, host))
    with host.connected():
        group = canvas.find_group(version.flow["flowContents"]["name"])
        if group is None:
            return [*said, "the flow is not on the canvas"]
        said += by_hand(group, version, deployed.values).lines()
        now = canvas.parameters(group)
        said += [f"parameter {name!r} has no value" for name in deployed.values if now.get(name) is None]
        said += _not_running(group)
    said += [f"schema {name} is not in the registry" for name in host.unregistered(version.schemas)]
    return said


def _files(version: Version, host: NiFiHost) -> Iterator[str]:
    if host.loaded() != version.code:
        yield "NiFi runs other processors than were deployed"
    for path in changed_files(version):
        yield f"processor file {path} was changed"


def _not_running(group: str) -> Iterator[str]:
    """Disabled parts are left out: the flow itself says of them that they are, so the canvas' difference tells."""
    for part in filter(lambda one: one.meant_to_run, canvas.parts(group)):
        if part.validation == "INVALID":
            yield f"{part} is invalid: {'; '.join(part.errors)}"
        elif not part.running:
            yield f"{part} is {part.state.lower()}"
