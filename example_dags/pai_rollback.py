"""
### Rolling back on Alibaba Cloud PAI

For the person who has seen that the model in production is bad: start it, with the reason, the group and, if it is not
to be the version before, the version. The ledger keeps who started it, why, what was left and what serves again.
Traffic moves when that version is ready to answer; nobody is left without an answer.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag

from airflow_provider_pai.operators.eas import EasRollbackOperator

POLL_SECONDS = float(os.environ.get("RETRAINING_POLL_SECONDS", "15"))

PARAMS = {
    "reason": Param(
        type="string", minLength=1, title="Why", description="the audit ledger keeps it beside your name; required"
    ),
    "group": Param("digits", type="string", title="Service group", description="EAS group whose model is bad"),
    "to": Param(
        "previous",
        type="string",
        title="Back to",
        examples=["previous", "promoted"],
        description="previous, promoted, or a version such as 20261120T1800Z-3f2a9c1b",
    ),
    "drain_seconds": Param(
        30,
        type="number",
        minimum=0,
        title="Seconds to drain",
        section="Times",
        description="between taking the bad model's traffic and stopping it",
    ),
}


@dag(
    dag_id="pai_rollback",
    schedule=None,
    start_date=pendulum.datetime(2025, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=4 * POLL_SECONDS)},
    params=PARAMS,
    doc_md=__doc__,
    tags=["pai", "example"],
)
def pai_rollback() -> None:
    """Go back."""
    EasRollbackOperator(
        task_id="roll_back",
        group="{{ params.group }}",
        to="{{ params.to }}",
        reason="{{ params.reason }}",
        drain="{{ params.drain_seconds }}",
        probe={"requests": [{"method": "GET", "path": "/health", "expect": {"status": "ok"}}]},
        deferrable=True,
        poll_interval=POLL_SECONDS,
    )


pai_rollback()
