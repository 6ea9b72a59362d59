"""
### A DAG that runs when data lands on OSS

A watcher looks for new files below `oss://my-team/landing/`; those that came or were overwritten are an event of
the asset, each file once, also when the triggerer starts anew. A run takes the files of its events, reads them through
`ObjectStoragePath`, writes what it made of them below a prefix of its own, and makes an artifact of it with a manifest
that a sensor or a deployment can trust.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Asset, AssetWatcher, ObjectStoragePath, dag, task

from airflow_provider_pai.operators.oss import OssWriteManifestOperator
from airflow_provider_pai.sensors.oss import OssArtifactSensor
from airflow_provider_pai.triggers.oss_events import OssObjectTrigger

BUCKET = "my-team"
OUTPUT = f"oss://{BUCKET}/rows/{{{{ run_id | replace(':', '') | replace('+', '') }}}}/"

landing = Asset(
    name="landing",
    uri=f"oss://{BUCKET}/landing/",
    watchers=[
        AssetWatcher(
            name="landed",
            trigger=OssObjectTrigger(uri=f"oss://{BUCKET}/landing/*.csv", poll_interval=15, existing=True),
        )
    ],
)


@dag(
    dag_id="pai_oss_landing",
    schedule=[landing],
    start_date=pendulum.datetime(2025, 1, 1, tz="Asia/Shanghai"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
    tags=["pai", "example"],
)
def pai_oss_landing() -> None:
    """Files that landed → rows counted → artifact."""

    @task
    def landed(triggering_asset_events: Any = None) -> list[str]:
        """Return the files of this run's events."""
        payloads = [event.extra.get("payload", {}) for event in triggering_asset_events[landing]]
        return sorted({each["uri"] for payload in payloads for each in payload.get("objects", [])})

    @task
    def count(uris: list[str], output: str) -> int:
        """Count the rows of all files and write the number."""
        rows = 0
        for uri in uris:
            with ObjectStoragePath(uri, conn_id="pai_default").open("r") as file:
                rows += sum(1 for _ in file)
        (ObjectStoragePath(output, conn_id="pai_default") / "count.txt").write_text(str(rows))
        return rows

    manifest = OssWriteManifestOperator(task_id="manifest", uri=OUTPUT, name="rows")
    verified = OssArtifactSensor(task_id="verified", artifact=manifest.output, deferrable=True, poke_interval=10)
    count(landed(), OUTPUT) >> manifest >> verified


pai_oss_landing()
