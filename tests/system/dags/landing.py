"""A DAG that runs for the objects that land on OSS."""

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_pai.triggers.oss_events import OssObjectTrigger

TRIGGER = OssObjectTrigger(uri="oss://landing/in/*.csv", poll_interval=1, existing=True)
ASSET = Asset("landed", uri="oss://landing/in/", watchers=[AssetWatcher(name="landed", trigger=TRIGGER)])

# Not paused: only as it reads the file of a DAG that is not, twice a minute, does Airflow begin to watch an asset.
with DAG("landing", schedule=[ASSET], start_date=pendulum.datetime(2026, 1, 1), is_paused_upon_creation=False):

    @task
    def took(triggering_asset_events=None):
        payloads = [event.extra["payload"] for event in triggering_asset_events[ASSET]]
        return [each["uri"] for payload in payloads for each in payload["objects"]]

    took()
