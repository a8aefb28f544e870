"""`rules`: the list of what is valid, which the README has too."""

import re
from pathlib import Path

from scripts.bootstrap import ROOT
from tests.unit.commands.command_line import Pipeline


def test_the_rules_of_the_readme_are_the_rules(pipeline: Pipeline) -> None:
    ended = pipeline("rules")
    assert ended.code == 0
    listed = [line.rstrip() for line in ended.out.splitlines()]
    fences = re.findall(r"^```\n(.*?)^```", Path(ROOT, "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert listed in [fence.splitlines() for fence in fences]
