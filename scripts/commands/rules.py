"""`rules`: what makes a user valid, and what becomes of one that isn't, or of a field of it."""

from rich.table import Table

from nifi_processors import validate
from scripts.commands import console


def rules() -> None:
    """List what makes a user valid, and the reasons that the dead letter of another one has."""
    table = Table("field", "usable is", "all else is", box=None, pad_edge=False)
    for row in validate.in_words():
        table.add_row(*row)
    console.out.print(table)
