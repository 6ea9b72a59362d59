"""Probes of a round, in their order: the cheapest first."""

from __future__ import annotations

from airflow_provider_pai.smoke import dlc, dsw, eas, oss
from airflow_provider_pai.smoke.round import Probe

PROBES = (
    Probe("OSS", "one object", oss.probe, oss.leftovers),
    Probe("DLC", "three jobs of {choice.instance_type}, a minute or two each", dlc.probe, dlc.leftovers),
    Probe("DSW", "one or two instances of {choice.instance_type}, some minutes", dsw.probe, dsw.leftovers),
    Probe("EAS", "three services of {choice.service_type}, ten minutes or so", eas.probe, eas.leftovers),
)
