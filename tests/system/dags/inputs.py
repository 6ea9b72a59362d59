"""Training on data that is replaced while the job runs: read where it lies, and read as it was pinned."""

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.model import ModelGateOperator

# It reads when what it was given has been replaced.
TRAIN = """
sleep 15
cat "$PAI_INPUT_DATA_DIR"/rows.csv > "$PAI_OUTPUT_DIR/model"
echo '{"accuracy": 0.9}' > "$PAI_OUTPUT_DIR/metrics.json"
"""
GIVEN = {"framework": "python", "ecs_spec": "ecs.g6.large", "image": "i", "poll_interval": 1, "deferrable": True}

with DAG("inputs", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    for name, pin in (("read", False), ("pinned", True)):
        train = DlcSubmitJobOperator(
            task_id=name,
            command=TRAIN,
            inputs={"data": "oss://inputs/data"},
            pin=pin,
            output="oss://inputs/models",
            **GIVEN,
        )
        ModelGateOperator(task_id=f"{name}_gate", artifact=train.output, group="inputs")
