from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from nifiapi.properties import ProcessContext


class FlowFileSource(ABC):
    identifier: str | None = None
    logger: Any = None

    def setContext(self, context: ProcessContext) -> None:
        self.process_context = context

    def createFlowFile(self) -> "FlowFileSourceResult | None":
        return self.create(self.process_context)

    @abstractmethod
    def create(self, context: ProcessContext) -> "FlowFileSourceResult | None": ...


class FlowFileSourceResult:
    def __init__(
        self, relationship: str, attributes: Mapping[str, str] | None = None, contents: str | bytes | None = None
    ) -> None:
        self.relationship = relationship
        self.attributes = attributes
        self.contents = contents.encode() if isinstance(contents, str) else contents

    def getRelationship(self) -> str:
        return self.relationship

    def getContents(self) -> bytes | None:
        return self.contents

    def getAttributes(self) -> Mapping[str, str] | None:
        return self.attributes
