"""When the benchmark refuses to measure."""

from tests.engines.conftest import LocalStack


def test_a_busy_stack_is_not_measured(stack: LocalStack) -> None:
    stack.run("--seed", "endless", "--pages", "0", "--page-size", "20", "--interval", "1")
    try:
        refused = stack.pipeline("bench")
        assert refused.code == 75
        assert "the stack is busy: " in refused.err
        assert "Traceback" not in refused.err
    finally:
        stack.run("--seed", "ended", "--pages", "2", "--page-size", "20", "--interval", "0")
