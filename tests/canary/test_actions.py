"""Every action is one that a driver can carry out."""

from __future__ import annotations

import inspect
from typing import get_args

from airflow_provider_pai.canary import actions
from airflow_provider_pai.canary.group import Phase
from airflow_provider_pai.canary.rollout import PHASES


def test_the_union_names_them_all():
    declared = {item for _, item in inspect.getmembers(actions, inspect.isclass) if item.__module__ == actions.__name__}
    assert declared == set(get_args(actions.Action))


def test_every_phase_has_a_next_action():
    assert set(PHASES) == set(Phase)
