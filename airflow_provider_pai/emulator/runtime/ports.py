"""Free local ports, one for each address that a container has of its own in the cloud."""

from __future__ import annotations

import asyncio
import random
import socket

# Below what Linux and macOS hand out to outgoing connections, so that none of those takes a port in between.
_FIRST, _LAST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens now.

    :raises OSError: when there are not enough.
    """
    ports: list[int] = []
    start = random.randrange(_LAST - _FIRST)  # noqa: S311 - only so that two calls do not begin alike
    for offset in range(_LAST - _FIRST):
        if len(ports) == count:
            return ports
        port = _FIRST + (start + offset) % (_LAST - _FIRST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if _can_bind(probe, port):
                ports.append(port)
    raise OSError(f"{count} free ports between {_FIRST} and {_LAST} are not to be had.")


async def is_open(port: int) -> bool:
    """Tell whether somebody listens on a port of 127.0.0.1."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _can_bind(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
