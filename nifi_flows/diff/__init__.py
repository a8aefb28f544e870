"""What differs between two flow definitions, in words that whoever works on NiFi's canvas knows."""

from nifi_flows.diff.change import Change, Component, Section, What
from nifi_flows.diff.compare import compare, removed_connections
from nifi_flows.diff.difference import Difference

__all__ = [
    "Change",
    "Component",
    "Difference",
    "Section",
    "What",
    "compare",
    "removed_connections",
]
