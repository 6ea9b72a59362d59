"""Guard of a process's connections: whatever leaves this machine is refused, and written down."""

from __future__ import annotations

import ipaddress
import socket
import sys
from pathlib import Path
from typing import Any

SETTINGS = """# Read by every process of Airflow's.
from airflow_provider_pai.testing.chaos.loopback import stay

__all__ = []
stay({file!r})
"""
"""Text of `airflow_local_settings.py`."""


class LeftLoopbackError(ConnectionRefusedError):
    """A bad night speaks to the emulator alone."""


def stay(file: str) -> None:
    """Refuse from now on to connect to, or to ask the address of, any other machine.

    :param file: gets a line for each machine that was asked for.
    """

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            address = arguments[1]
            host = address[0] if isinstance(address, tuple) else ""
        elif event == "socket.getaddrinfo":
            host = arguments[0]
        else:
            return
        if not is_here(host):
            with Path(file).open("a") as refused:
                refused.write(f"{host}\n")
            raise LeftLoopbackError(f"A bad night speaks to the emulator alone, not to {host}")

    sys.addaudithook(watch)


def is_here(host: Any) -> bool:
    """Tell whether a host is this machine; no name is asked for."""
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
    if text in ("", "localhost", "0.0.0.0", "::", socket.gethostname()):  # noqa: S104 - addresses that are listened at
        return True
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False
