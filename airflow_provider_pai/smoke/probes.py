"""Probes of a round, in their order: the cheapest first."""

from __future__ import annotations

from airflow_provider_pai.smoke.dlc import leftover_jobs, probe_dlc
from airflow_provider_pai.smoke.dsw import leftover_instances, probe_dsw
from airflow_provider_pai.smoke.eas import leftover_services, probe_eas
from airflow_provider_pai.smoke.oss import leftover_objects, probe_oss
from airflow_provider_pai.smoke.round import ServiceProbe

PROBES = (
    ServiceProbe("OSS", "one object", probe_oss, leftover_objects),
    ServiceProbe("DLC", "three jobs of {choice.instance_type}, a minute or two each", probe_dlc, leftover_jobs),
    ServiceProbe("DSW", "one or two instances of {choice.instance_type}, minutes", probe_dsw, leftover_instances),
    ServiceProbe("EAS", "three services of {choice.service_type}, some ten minutes", probe_eas, leftover_services),
)
