"""The one error tree of the pipeline: transient errors may pass by waiting, terminal ones need somebody to act."""


class PipelineError(Exception):
    """Raised when the pipeline cannot do what it was asked; never raised bare.

    message: one line, what was wrong and where. remedy: one line, what to do next.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class TransientError(PipelineError):
    """Raised when the same call may succeed later: an engine is starting, a source is down, a network blinked."""


class TerminalError(PipelineError):
    """Raised when waiting cannot help: a wrong checksum, a taken port, an incompatible schema."""
