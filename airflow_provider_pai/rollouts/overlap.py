"""Overlap: what a candidate or a shadow has used beside the service that carried production meanwhile."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_pai.costs import Usage
from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.remote import Json
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook


def overlap(eas: EasHook, service: str, cause: str) -> Json | None:
    """Return a service's usage since it was created, as JSON; None: EAS does not tell.

    Billed are as many instances as it has now, or as its JSON asks for: how many there were before no API tells.

    :param cause: what it ran for.
    """
    try:
        job = eas.get(service)
        usage = eas.usage(job, cause)
    except PaiError as error:
        eas.log.warning("What %s has used can't be told: %s", service, error)
        return None
    if not usage.began:
        return None
    known = {"id": f"{service} {usage.began}", "cause": cause, "ended": utc_text(eas.service_clock.utc())}
    return asdict(Usage.read({**asdict(usage), **known}))
