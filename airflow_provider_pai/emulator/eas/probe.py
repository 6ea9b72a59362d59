"""Probes of instances: an HTTP GET that answers 2xx or 3xx, or a port that takes a connection.

Every probe opens a connection of its own, as the cloud's do.
"""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp


async def passes(port: int, path: str | None, timeout: float) -> bool:
    """Run one probe; without a path it is the port that is asked."""
    try:
        async with asyncio.timeout(timeout):
            return await (_takes_connection(port) if path is None else _answers(port, path))
    except (OSError, aiohttp.ClientError):
        return False


async def _takes_connection(port: int) -> bool:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _answers(port: int, path: str) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", allow_redirects=False) as response,
    ):
        return response.status < 400
