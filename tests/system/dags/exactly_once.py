"""Jobs of some seconds, for tests that lose workers and triggerers, clear, map and reprocess."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

START = pendulum.datetime(2026, 1, 1)
COMMON = {"framework": "pytorch", "ecs_spec": "ecs.g6.large", "image": "i", "poll_interval": 1, "log_interval": 0}
AT_ONCE = {"retry_delay": timedelta(0)}

with DAG("swarm", schedule=None, start_date=START):
    for task_id, deferrable in (("in_worker", False), ("deferred", True)):
        DlcSubmitJobOperator.partial(task_id=task_id, deferrable=deferrable, retries=20, **AT_ONCE, **COMMON).expand(
            command=["sleep 3"] * 4
        )

with DAG("windows", schedule=None, start_date=START):
    unread, unstored = (
        DlcSubmitJobOperator(task_id=task_id, command="sleep 2", retries=1, **AT_ONCE, **COMMON)
        for task_id in ("unread", "unstored")
    )
    unread >> unstored

with DAG("again", schedule="@daily", start_date=START, end_date=START, catchup=False):
    DlcSubmitJobOperator(task_id="in_worker", command="true", **COMMON)
    DlcSubmitJobOperator(
        task_id="trained",
        command="echo m > $PAI_OUTPUT_DIR/model",
        output="oss://again/models",
        deferrable=True,
        **COMMON,
    )
    DlcSubmitJobOperator.partial(task_id="mapped", deferrable=True, **COMMON).expand(command=["true", "sleep 0"])

with DAG("lost", schedule=None, start_date=START):
    DlcSubmitJobOperator(task_id="retried", command="sleep 40", retries=1, **AT_ONCE, **COMMON)
    DlcSubmitJobOperator(task_id="last", command="sleep 300", **COMMON)
    DlcSubmitJobOperator(task_id="cleared", command="sleep 300", **COMMON)
    DlcSubmitJobOperator(task_id="waiting", command="sleep 300", deferrable=True, **COMMON)
    DlcSubmitJobOperator(task_id="failing", command="exit 1", retries=1, **AT_ONCE, **COMMON)
