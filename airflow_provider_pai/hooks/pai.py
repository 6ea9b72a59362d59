"""Hook of the connection type `pai`: what Airflow makes of a connection, and what its form's Test button asks."""

from __future__ import annotations

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.services import SERVICES, path_of


class PaiConnectionHook(PaiHook):
    """The connection itself, without a service of its own."""

    def test_connection(self) -> tuple[bool, str]:
        """Ask each service for one item; tell which answered, and of the others which permission may be missing."""
        answered, refused = [], []
        for service in SERVICES.values():
            try:
                self.sibling(import_string(path_of(service.hook))).ping()
                answered.append(service.title)
            except (PaiError, ValueError) as error:
                refused.append(f"{service.title} (needs {service.permission}): {error}")
        if refused:
            return False, f"answered: {', '.join(answered) or 'none'}; refused: {'; '.join(refused)}"
        return True, f"answered: {', '.join(answered)}"
