"""The errors that the processors raise. NiFi loads this package alone, so it shares no errors with the rest."""


class ProcessorError(Exception):
    """Raised when a FlowFile cannot be served now; it waits and is tried again.

    str() is one line: what was wrong and where. remedy: one line, what to do next.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy

    @property
    def line(self) -> str:
        """What was wrong and what to do, for a log or an attribute."""
        return f"{self}; {self.remedy}"


class FlowFileError(ProcessorError):
    """Raised when a FlowFile lacks what the processor before it should have given: the flow is wired wrongly."""


class ContractError(ProcessorError):
    """Raised when the registry does not know a schema under its subject: the contract was not deployed."""


class RegistryError(ProcessorError):
    """Raised when the schema registry cannot be reached or answers nonsense."""


class DeliveryError(ProcessorError):
    """Raised when Kafka did not acknowledge every message; some may have arrived, so send them all again."""


class PageRefused(Exception):
    """Raised when content is no page of users. code: the reason, such as page_not_json."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
