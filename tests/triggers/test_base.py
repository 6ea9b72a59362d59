"""Events of all triggers, as Airflow logs and sends them."""

from __future__ import annotations

import json

from airflow.triggers.base import TriggerEvent

from airflow_provider_pai.triggers.base import Payload


def test_what_airflow_logs_of_an_event_is_short_and_what_it_sends_is_whole():
    payload = {"job_id": "dlc-1", "end": {"steps": ["x" * 50] * 9}}
    event = TriggerEvent(Payload(payload))
    assert repr(event) == "TriggerEvent<{'job_id': 'dlc-1', 'end': '…'}>"
    assert json.loads(json.dumps(event.payload)) == payload
