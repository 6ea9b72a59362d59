"""An emulator of OSS, DLC, EAS and DSW that the real Alibaba SDKs talk to; it really trains, stores and serves."""

from __future__ import annotations

from typing import Any

__all__ = ["Emulator"]


def __getattr__(name: str) -> Any:
    """Import the server only when it is asked for: its floors need Starlette."""
    if name == "Emulator":
        from airflow_provider_pai.emulator.server import Emulator

        return Emulator
    raise AttributeError(name)
