"""Objects that land on OSS are asset events, each once, also across a triggerer that is killed; a DAG runs for them."""

from __future__ import annotations

import time

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.testing.killing import kill, processes_below

URIS = [f"oss://landing/in/{number}.csv" for number in range(5)]


def reported(api):
    """Return the objects of all events; Airflow's answer is an error while an event's run has not started."""
    events = api.request("GET", "/assets/events", params={"limit": 100})["asset_events"]
    payloads = [event["extra"]["payload"] for event in events if event["name"] == "landed"]
    return sorted(each["uri"] for payload in payloads for each in payload["objects"])


def taken(api):
    """Return the objects that runs of the DAG took, as often as they took them."""
    runs = [run["dag_run_id"] for run in api.runs("landing")]
    return sorted(uri for run in runs for uri in api.xcom("landing", run, "took") or [])


def until(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_each_object_is_an_event_once(prepared, stack, api):
    hook = prepared("landing").dlc.sibling(OssHook)
    hook.create_bucket("landing")
    for uri in URIS[:2]:
        hook.put(uri, b"1")
    until(lambda: URIS[0] in taken(api))
    for process in processes_below(stack, "triggerer").values():
        kill(process)
    for uri in URIS[2:4]:
        hook.put(uri, b"1")
    stack.stop("triggerer")
    stack.start("triggerer")
    until(lambda: URIS[2] in taken(api))
    # Airflow makes no run for an event that comes while another one waits for its run: the next run takes it.
    hook.put(URIS[4], b"1")
    until(lambda: taken(api) == URIS)
    time.sleep(3)  # for some looks more
    assert reported(api) == taken(api) == URIS
