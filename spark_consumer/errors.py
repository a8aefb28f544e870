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


def first_line(text: str) -> str:
    """The first line that says something, for a message of one line."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
