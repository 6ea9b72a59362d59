"""Checks of instances: an HTTP GET that answers 2xx or 3xx, or a port that takes a connection."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp


class Prober:
    """Runs checks; every check opens a connection of its own, as the cloud's do."""

    async def passes(self, port: int, path: str | None, timeout: float) -> bool:
        """Run one check."""
        try:
            async with asyncio.timeout(timeout):
                return await (self._takes_connection(port) if path is None else self._answers(port, path))
        except (OSError, aiohttp.ClientError):
            return False

    async def _takes_connection(self, port: int) -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    async def _answers(self, port: int, path: str) -> bool:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}{path}", allow_redirects=False) as response,
        ):
            return response.status < 400
