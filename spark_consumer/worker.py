"""The stream's process: `python -m spark_consumer.worker`, started and watched by `spark_consumer.main`.

Ends with 0 after SIGTERM or SIGINT, 2 when somebody must act before it can run, 1 when a restart may help.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from types import FrameType

from spark_consumer.consumer import run
from spark_consumer.errors import ConsumerError, TerminalError
from spark_consumer.settings import load_settings
from spark_consumer.streaming import Sign

_log = logging.getLogger("spark_consumer")


def main() -> int:
    """Runs until a signal ends it or something fails; returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx2", "py4j"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    stop = threading.Event()

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    sign = signs()
    try:
        sign(b"b")
        run(load_settings(), stop, sign)
    except ConsumerError as error:
        _log.error("%s%s", error, f" ({error.remedy})" if error.remedy else "")
        sign(b"f")
        return 2 if isinstance(error, TerminalError) else 1
    return 0


def signs() -> Sign:
    """Tells the parent process that this one lives; nobody, when it has none."""
    number = os.environ.get("CONSUMER_SIGNS_FD")
    if not number:
        return lambda sign: None

    def sign(sign: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # it is read too seldom, and says the same
            os.write(int(number), sign)

    return sign


if __name__ == "__main__":
    sys.exit(main())
