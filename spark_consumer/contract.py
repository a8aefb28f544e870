"""The Avro schemas that the consumer reads and writes with: the same files that are registered and validated."""

from pathlib import Path

from spark_consumer import users

_USERS = Path(__file__).resolve().parents[1] / "nifi_flows" / users.NAME

USER_SCHEMA = (_USERS / "user.avsc").read_text(encoding="utf-8")
DEAD_LETTER_SCHEMA = (_USERS / "dead_letter.avsc").read_text(encoding="utf-8")
