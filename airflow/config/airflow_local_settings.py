"""What Airflow has no setting for; it imports this module, by its name, in each of its processes."""

import asyncio
import ctypes
import os
import signal
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

__all__ = ["create_async_metadata_engine", "create_metadata_engine"]  # replace the functions of airflow.settings

_PATIENCE = 30  # seconds that a writer waits for another one
_ON_LOOP = 2  # seconds, where nothing else of the process goes on meanwhile
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>

_libc = ctypes.CDLL(None)


def create_metadata_engine(url: str, *, engine_args: dict[str, Any], connect_args: dict[str, Any]) -> Engine:
    engine = create_engine(url, connect_args={**connect_args, "timeout": _PATIENCE}, **engine_args)
    event.listen(engine, "connect", _tune)
    event.listen(engine, "checkout", _be_patient)
    return engine


def create_async_metadata_engine(
    url: str, *, connect_args: dict[str, Any], engine_args: dict[str, Any] | None = None
) -> AsyncEngine:
    engine = create_async_engine(url, connect_args={**connect_args, "timeout": _PATIENCE}, **(engine_args or {}))
    event.listen(engine.sync_engine, "connect", _tune)
    return engine


def _tune(connection: Any, record: object) -> None:
    """Readers and a writer side by side; a power cut may cost the last seconds of history, never the database."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _be_patient(connection: Any, record: object, proxy: object) -> None:
    """The API server writes its audit log on its event loop, without which no other request can end its transaction.

    It may wait there for itself, and then gives up the sooner the better.
    """
    try:
        asyncio.get_running_loop()
        patience = _ON_LOOP
    except RuntimeError:
        patience = _PATIENCE
    connection.execute(f"PRAGMA busy_timeout = {1000 * patience}")


def _end_with_parent() -> None:
    """Airflow puts each task into a process group of its own, out of reach of a signal to the engine's."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # tasks and executors shrug off anything less


os.register_at_fork(after_in_child=_end_with_parent)
