"""Images that are registered by a task, and used by another."""

from __future__ import annotations

import uuid

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.operators.dsw import DswRegisterImageOperator, DswRunCommandOperator
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def register(**arguments):
    given = {"image": "registry.example.com/team/kernel:1", **arguments}
    return Task(lambda: DswRegisterImageOperator(task_id="task", **given))


def test_a_task_that_is_cleared_finds_its_image_and_an_instance_runs_on_it(bucket):
    name = f"kernel-{uuid.uuid4().hex[:8]}"
    task = register(image_name=name, labels='{"system.chipType": "CPU", "system.supported.dlc": "false"}')
    image_id = task.run()
    assert task.run() == image_id
    (image,) = AIWorkspaceHook().list_images(name=name)
    labels = {each["Key"]: each["Value"] for each in image["Labels"]}
    assert labels == {"system.supported.dsw": "true", "system.supported.dlc": "false", "system.chipType": "CPU"}
    run = {"image": image_id, "ecs_spec": "ecs.g6.large", "run_uri": f"oss://{bucket.bucket_name}/r"}
    made = Task(lambda: DswRunCommandOperator(task_id="task", command="true", poll_interval=0.02, **run)).run()
    assert DswHook().describe(made["instance_id"])["ImageId"] == image_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_name": "Kernel_1"}, "image_name: 'Kernel_1' is not allowed; 1 to 50 lowercase"),
        ({"image_name": "k", "image": ""}, "image: '' is not allowed"),
        ({"image_name": "k", "accessibility": "public"}, "accessibility: 'public' is not allowed; .*PUBLIC"),
        ({"image_name": "k", "labels": "x"}, "labels"),
    ],
)
def test_what_no_image_can_have_is_refused(arguments, message):
    with pytest.raises(PaiConfigError, match=message):
        register(**arguments).run()
