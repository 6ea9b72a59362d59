"""A server that does not start tells why: as a deployment, as a candidate, as a shadow, wherever it is waited for."""

from __future__ import annotations

import sys

import pytest

from airflow_provider_pai.exceptions import PaiError, PaiJobFailedError
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator, EasDeployServiceOperator
from tests.group import PLAN, service
from tests.operators.eas.test_shadow import LIMITS, shadow
from tests.service import create
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

EATS = "python -c 'x = b\"x\" * (300 << 20); import time; time.sleep(60)'"
CAUSES = {
    "the port stands in its source": ({"script": "echo my last words; sleep 60"}, "on port 8000"),
    "it ends": ({"script": "echo my last words; exit 7"}, "its program ended with exit code 7"),
    "it eats": ({"script": f"echo my last words; {EATS}"}, "killed for memory: an instance has 100 MB"),
    "no such image": ({"image": "registry.invalid/model:1"}, "image registry.invalid/model:1 can't be pulled"),
}


def broken(at, changes):
    """Return the service JSON of a server that does not come up."""
    given = service(f"oss://{at.bucket}/code/")
    return {**given, "metadata": {"cpu": 1, "memory": 100}, "containers": [{**given["containers"][0], **changes}]}


def deployed(at, given, deferrable):
    arguments = {
        "task_id": "task",
        "service_name": f"{at.name}_one",
        "artifact": at.model(20),
        "service": given,
        "poll_interval": 0.05,
        "wait_timeout": 1.5,
        "deferrable": deferrable,
    }
    return Task(lambda: EasDeployServiceOperator(**arguments))


def rolled_out(at, given, deferrable):
    arguments = at.arguments(at.model(20), service=given, plan={**PLAN, "ready_timeout": 2}, deferrable=deferrable)
    return Task(lambda: EasCanaryDeployOperator(**arguments))


def shadowed(at, given, deferrable):
    source, plan = create(at, "production"), {**LIMITS, "ready_timeout": 2}
    return shadow(at, at.model(20), service=given, plan=plan, source=source, group=None, deferrable=deferrable)


@pytest.mark.parametrize(
    ("way", "deferrable", "name", "told_by"),
    [
        (deployed, False, "the port stands in its source", "instances"),
        (deployed, True, "the port stands in its source", "containers"),
        (rolled_out, True, "the port stands in its source", "instances"),
        (rolled_out, True, "it eats", "containers"),
        (deployed, True, "it ends", "instances"),
        (shadowed, False, "it ends", "instances"),
        (deployed, False, "no such image", "containers"),
        (rolled_out, False, "no such image", "instances"),
    ],
)
def test_the_error_says_why_and_ends_with_the_last_lines(group, world, way, deferrable, name, told_by):
    changes, cause = CAUSES[name]
    if name == "it eats" and sys.platform != "linux":
        pytest.skip("memory is looked at through /proc")
    world(eas_exit_reason=told_by)
    with pytest.raises(PaiError) as caught:
        way(group, broken(group, changes), deferrable).run()
    first, *rest = str(caught.value).splitlines()
    assert cause in first, first
    words = [line for line in rest if not line.startswith("→ ")]
    assert any("my last words" in line for line in words[-1:]) == ("script" in changes), rest


def test_what_may_not_be_asked_is_left_out(group, pai, caplog, capsys):
    pai.account.faults.add(match="api (ListServiceInstances|DescribeServiceLog)", status=403, code="Forbidden")
    with pytest.raises(PaiJobFailedError, match=r"not healthy: Instance crashed.*\n.the logs could not be read"):
        deployed(group, broken(group, CAUSES["it ends"][0]), False).run()
    assert "does not come up can't be told: " in caplog.text + capsys.readouterr().out
