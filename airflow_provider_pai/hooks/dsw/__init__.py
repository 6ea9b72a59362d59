"""Hooks of DSW (Data Science Workshop) 2022-01-01: notebook instances, and commands that run on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw.commands import DswCommandHook
    from airflow_provider_pai.hooks.dsw.instances import DswHook, DswRestHook, DswStartHook
    from airflow_provider_pai.hooks.dsw.runs import DswRunHook

__all__ = [
    "DswCommandHook",
    "DswHook",
    "DswRestHook",
    "DswRunHook",
    "DswStartHook",
]

__getattr__ = late_names(
    __name__,
    {
        "DswCommandHook": "commands",
        "DswHook": "instances",
        "DswRestHook": "instances",
        "DswRunHook": "runs",
        "DswStartHook": "instances",
    },
)
