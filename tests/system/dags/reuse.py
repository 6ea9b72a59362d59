"""Training that makes no job where nothing has changed, and whose DAG may be cleared."""

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

with DAG("reuse", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    DlcSubmitJobOperator(
        task_id="train",
        framework="python",
        ecs_spec="ecs.g6.large",
        image="train:1",
        command="cp $PAI_INPUT_DATA_DIR/rows.csv $PAI_OUTPUT_DIR/model",
        inputs={"data": "oss://reuse/data"},
        output="oss://reuse/models",
        reuse="latest",
        retries=2,
        poll_interval=1,
        deferrable=True,
    )
