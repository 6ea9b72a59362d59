from __future__ import annotations

from airflow_provider_pai.emulator.runtime.ports import free_ports


def test_free_ports_are_different_and_free():
    assert len(set(free_ports(5))) == 5
