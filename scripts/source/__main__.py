"""Serve invented users: `python -m scripts.source --port 8000`."""

import argparse
import asyncio
import faulthandler
import logging
import os
import signal
import sys
from pathlib import Path

from .behaviour import Behaviour, BehaviourFile
from .server import HOST, make_app, serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.source", description=__doc__)
    parser.add_argument("--port", type=port, default=8000, help="port on loopback, 0 for any free one (8000)")
    parser.add_argument(
        "--behaviour", type=Path, metavar="FILE", help="JSON that says what to do wrong; read as it changes"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    faulthandler.register(signal.SIGQUIT)  # as a JVM does: it says what its threads wait for
    behaviour = BehaviourFile(arguments.behaviour).read if arguments.behaviour else Behaviour
    try:
        asyncio.run(serve(make_app(behaviour), arguments.port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        print(f"source: cannot listen on {HOST}:{arguments.port}: {reason}; use another --port", file=sys.stderr)
        return 1
    return 0


def port(text: str) -> int:
    """Read a port; argparse names this function where the text is no number."""
    if not 0 <= (number := int(text)) <= 65_535:
        raise argparse.ArgumentTypeError(f"not between 0 and 65535: {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
