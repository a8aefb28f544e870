"""Work beside the deciding thread."""

import threading
import time

import pytest

from spark_consumer import beside
from spark_consumer.beside import Beside, Hung


def settled(work: Beside[int]) -> None:
    work.wait(10)


def test_a_result_is_given_once() -> None:
    work: Beside[int] = Beside("sum")
    assert work.free(0)
    work.begin(lambda: 3, not_before=5)
    assert not work.free(9)
    settled(work)
    assert (work.result(), work.result()) == (3, None)
    assert not work.free(4)
    assert work.free(5)


def test_what_it_raises_is_raised_where_the_result_is_asked_for() -> None:
    work: Beside[int] = Beside("division")
    work.begin(lambda: 1 // 0, not_before=0)
    settled(work)
    with pytest.raises(ZeroDivisionError):
        work.result()
    assert work.result() is None


def test_what_does_not_end_is_said_to_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_HUNG", 0.01)
    work, go_on = Beside[bool]("wait"), threading.Event()
    work.begin(go_on.wait, not_before=0)
    time.sleep(0.05)
    with pytest.raises(Hung, match="wait"):
        work.result()
    go_on.set()
