"""The meter counts spans of time, whatever becomes of what it counts."""

from airflow_provider_pai.emulator.meter import Meter
from airflow_provider_pai.emulator.store import Store

NODES = [{"Type": "ecs.g6.large", "Count": 2, "Spot": False}]


def test_spans_add_up_and_a_restarted_emulator_knows_them(tmp_path):
    store = Store(tmp_path / "state.sqlite")
    meter = Meter(store)
    meter.end("dlc", "a", 90)  # what never began
    for at in (100, 105):  # it restarts a pod: the job goes on
        meter.begin("dlc", "a", NODES, at)
    meter.end("dlc", "a", 110)
    meter.end("dlc", "a", 120)
    meter.begin("dlc", "a", NODES, 200)
    store.close()
    told = Meter(Store(tmp_path / "state.sqlite")).read(203)
    assert told == [{"Service": "dlc", "Id": "a", "Nodes": NODES, "Seconds": 13}]
