"""Hook of the connection type `pai`: what the connection form's Test button does, one small read from each service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.eas import EasHook


class PaiConnectionHook(PaiHook):
    """The hook that Airflow makes of a connection by its type."""

    def test_connection(self) -> tuple[bool, str]:
        """Ask each service for one item and tell which answered, and of the others which permission is missing."""
        from airflow_provider_pai.hooks.oss import OssHook

        looks: dict[str, tuple[str, Callable[[], Any]]] = {
            "OSS": ("oss:ListBuckets", lambda: self.sibling(OssHook).bucket_names(limit=1)),
            "DLC": ("paidlc:ListJobs", lambda: next(self.sibling(DlcHook).list_jobs(), None)),
            "DSW": ("paidsw:ListInstances", lambda: next(self.sibling(DswHook).list_instances(), None)),
            "EAS": ("eas:ListServices", lambda: next(iter(self.sibling(EasHook).list_services()), None)),
            "AIWorkspace": ("paicodesource:ListCodeSources", lambda: self.sibling(AIWorkspaceHook).ping()),
        }
        answered, refused = [], []
        for service, (permission, look) in looks.items():
            try:
                look()
                answered.append(service)
            except (PaiError, ValueError) as error:
                refused.append(f"{service} (needs {permission}): {error}")
        if refused:
            return False, f"answered: {', '.join(answered) or 'none'}; refused: {'; '.join(refused)}"
        return True, f"answered: {', '.join(answered)}"
