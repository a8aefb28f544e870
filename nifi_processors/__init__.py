"""The Python processors that NiFi loads: thin classes in `processors/`, their logic in plain functions beside it."""
