"""What the connection form's Test button does: one small read from each service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.oss import OssHook


def check_services(arguments: dict[str, Any]) -> tuple[bool, str]:
    """Tell which services answered, and of the others which permission is missing or what they said.

    :param arguments: what builds a hook.
    """
    from airflow_provider_pai.hooks.eas import EasHook

    looks: dict[str, tuple[str, Callable[[], Any]]] = {
        "OSS": ("oss:ListBuckets", lambda: OssHook(**arguments).bucket_names(limit=1)),
        "DLC": ("paidlc:ListJobs", lambda: next(DlcHook(**arguments).list_jobs(), None)),
        "DSW": ("paidsw:ListInstances", lambda: next(DswHook(**arguments).list_instances(), None)),
        "EAS": ("eas:ListServices", lambda: next(iter(EasHook(**arguments).list_services()), None)),
        "AIWorkspace": ("paicodesource:ListCodeSources", lambda: AIWorkspaceHook(**arguments).ping()),
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
