"""`canvas`: the NiFi canvas in an ordinary browser, through a proxy that holds the certificate."""

import os
import threading
import webbrowser
from functools import partial
from pathlib import Path

import typer

from nifi_flows.files import write_private
from scripts.commands import console
from scripts.stack import configuration, credentials
from scripts.stack.engines import nifi, spark
from scripts.stack.settings import LOOPBACK, Settings
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor


def canvas() -> None:
    """Show the NiFi canvas in a browser, by a link that works once; serves until Ctrl-C."""
    import asyncio

    from scripts.canvas import proxy
    from scripts.stack import preflight

    settings = configuration.load()
    Supervisor(settings).require()
    upstream = nifi_of(settings, credentials.require(settings.secrets))
    asyncio.run(proxy.require(upstream))
    preflight.check_port(settings.port(nifi.CANVAS), nifi.CANVAS.purpose)
    page = settings.run / "canvas.html"
    try:
        asyncio.run(proxy.serve(upstream, settings.port(nifi.CANVAS), partial(_show, settings, page)))
    finally:
        page.unlink(missing_ok=True)


def _show(settings: Settings, page: Path, link: str) -> None:
    console.err.print("The NiFi canvas, until Ctrl-C. The link lets one browser in:")
    typer.echo(link)
    shown = {
        "consumer": settings.port(spark.CONSUMER_UI),
        "master": settings.port(spark.MASTER_UI),
        "worker": settings.port(spark.WORKER_UI),
    }
    addresses = ", ".join(f"{name} http://{LOOPBACK}:{port}" for name, port in shown.items())
    console.err.print(f"Spark needs no link: {addresses}")
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        # By way of a file that nobody else can read: what a browser is started with is in the process list.
        write_private(page, f'<!doctype html><meta http-equiv="refresh" content="0;url={link}">\n')
        threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
