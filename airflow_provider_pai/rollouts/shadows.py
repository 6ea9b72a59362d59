"""Shadows as jobs: services that get copies of another one's requests, found by their labels and taken down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.labels import Shadow
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.states import EAS_GONE, EAS_SHADOW, States

NAME = "_shadow_"
"""In the name of every shadow: a list tells names, not labels."""


class EasShadowHook(EasHook):
    """Shadows as jobs, which are found by their labels and stopped."""

    states: ClassVar[States] = EAS_SHADOW

    def tagged(self, tags: Mapping[str, str]) -> list[RemoteJob]:
        """Return every shadow that bears these labels."""
        named = [self.get(service["ServiceName"]) for service in self.list_services(filter=NAME)]
        return [job for job in named if Shadow.of(job.tags) and tags.items() <= job.tags.items()]

    def request_stop(self, job_id: str) -> None:
        """Take a shadow down; one that is gone is no error."""
        shadow = Shadow.of(self.get(job_id).tags)
        take_down(self, shadow.source if shadow else "", job_id)


def take_down(eas: EasHook, source: str, shadow: str) -> None:
    """End the copying first, then delete the shadow; what is gone already is no error."""
    mirror = eas.mirror(source) if source else None
    if mirror is not None and mirror.targets == (shadow,):
        eas.log.info("%s: no more copies to %s", source, shadow)
        eas.remove_mirror(source)
    if eas.get(shadow).status != EAS_GONE:
        eas.log.info("Deleting %s", shadow)
        eas.delete(shadow)
