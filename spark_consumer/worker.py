"""The stream's process: `python -m spark_consumer.worker [HALVINGS DOUBTS]`, which `spark_consumer.main` starts.

HALVINGS: how often batches are half as long as they are set to be. DOUBTS: how many processes before, in a row, took
too long in the continuous lane, so that this one begins with micro-batches.

Ends with 0 after SIGTERM or SIGINT, 1 when a restart may help, 2 when somebody must act before it can run, 3 when
something took too long, and shorter batches may help.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from types import FrameType

from spark_consumer.beside import Hung
from spark_consumer.consumer import run
from spark_consumer.errors import ConsumerError, TerminalError, told
from spark_consumer.settings import ConsumerSettings, load_settings
from spark_consumer.streaming import Sign

_log = logging.getLogger("spark_consumer")


def main() -> int:
    """Runs until a signal ends it or something fails; returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.ERROR)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # what it raises is told in one line of ours
    logging.getLogger().addFilter(lambda record: "py4j" not in record.pathname)  # it says some of it as nobody
    stop = threading.Event()

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    sign = signs()
    halvings, doubts = map(int, sys.argv[1:] or ["0", "0"])
    try:
        run(_halved(load_settings(), halvings), stop, sign, doubts)
    except ConsumerError as error:
        _log.error("%s", told(error))
        sign(b"f")
        return 2 if isinstance(error, TerminalError) else 3 if isinstance(error, Hung) else 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent starts the stream again
        _log.error("%s", told(error), exc_info=True)
        sign(b"f")
        return 1
    return 0


def _halved(settings: ConsumerSettings, times: int) -> ConsumerSettings:
    most = max(1, settings.max_offsets_per_trigger >> times)
    return settings.model_copy(update={"max_offsets_per_trigger": most})


def signs() -> Sign:
    """Tells the parent process that this one lives; nobody, when it has none."""
    number = os.environ.get("CONSUMER_SIGNS_FD")
    if not number:
        return lambda sign: None

    os.set_blocking(int(number), False)

    def sign(sign: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # it is read too seldom, and says the same
            os.write(int(number), sign)

    return sign


if __name__ == "__main__":
    sys.exit(main())
