"""The Avro schemas as the contract: their text for the registry, their fields for validation and for frames."""

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastavro.types import Schema

_BUNDLED = Path(__file__).parent / "schemas"
SCHEMAS = _BUNDLED if _BUNDLED.is_dir() else Path(__file__).parent.parent / "nifi_flows" / "users"


@dataclass(frozen=True)
class Contract:
    """One schema. text: the file as it is, which is what the registry must know."""

    name: str
    text: str

    @cached_property
    def schema(self) -> "Schema":
        import fastavro  # which takes its time, and a command that lists the rules needs none of it

        return fastavro.parse_schema(json.loads(self.text))

    @cached_property
    def types(self) -> dict[str, Any]:
        """Field name to Avro type, in the order of the schema."""
        return {field["name"]: field["type"] for field in json.loads(self.text)["fields"]}

    def requires(self, field: str) -> bool:
        """Whether the field must have a value."""
        return "null" not in self.types[field]


@lru_cache
def contract(name: str) -> Contract:
    """The contract in `{name}.avsc`: user, dead_letter or page_receipt."""
    return Contract(name, (SCHEMAS / f"{name}.avsc").read_text(encoding="utf-8"))
