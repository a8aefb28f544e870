"""The consumer's own error tree: transient errors may pass by waiting, terminal ones need somebody to act."""

_SHOWN = 300  # characters of a message that somebody else has made


class ConsumerError(Exception):
    """Raised when the consumer cannot go on; never raised bare.

    message: one line, what was wrong and where. remedy: one line, what to do next.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class TransientError(ConsumerError):
    """Raised when a restart may succeed: the registry, Kafka or Cassandra does not answer."""


class NeedsNewProcess(TransientError):
    """Raised when the stream can't go on in this process, however often it starts again, and may in another one."""


class TerminalError(ConsumerError):
    """Raised when waiting cannot help: a missing table, a wrong setting, an unregistered contract."""


class TableMismatch(TerminalError):
    """Raised when the live table lacks a column that the consumer writes, or has it with another type.

    missing: column -> CQL type wanted. different: column -> (CQL type wanted, CQL type found).
    """

    def __init__(self, table: str, missing: dict[str, str], different: dict[str, tuple[str, str]]) -> None:
        parts = [f"no column {name} {wanted}" for name, wanted in missing.items()]
        parts += [f"column {name} is {found}, not {wanted}" for name, (wanted, found) in different.items()]
        alters = " ".join(f"ALTER TABLE {table} ADD {name} {wanted};" for name, wanted in missing.items())
        super().__init__(
            f"table {table}: {'; '.join(parts)}",
            alters if not different else "a column's type cannot be altered: move the table aside and create it anew",
        )
        self.missing = missing
        self.different = different


def told(error: BaseException) -> str:
    """What was wrong, and what to do next where that is known, on one line."""
    if not isinstance(error, ConsumerError):
        return f"{type(error).__name__}: {first_line(str(error))}"
    return f"{error} ({error.remedy})" if error.remedy else str(error)


def first_line(text: str) -> str:
    """The first line that says something, for a message of one line."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def told_by_spark(error: Exception) -> str:
    """What an error of Spark, or one of Java that it passes on, says on one line."""
    java = getattr(error, "java_exception", None)  # of py4j's own
    return first_line(str(java.toString()) if java is not None else str(error))
