"""TaskFlow decorator `@task.pai_dlc`: a function of the DAG file that runs on DLC."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import DecoratedOperator, TaskDecorator, task_decorator_factory

from airflow_provider_pai.decorators.call import files
from airflow_provider_pai.exceptions import (
    PaiConfigError,
    PaiError,
    PaiFunctionError,
    PaiJobFailedError,
    PaiNotFoundError,
)
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import parse_uri
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.workload.base import MOUNT_ROOT, Mount
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.uri import OssUri

CALL_PATH = f"{MOUNT_ROOT}/call"
RETURN_PATH = f"{MOUNT_ROOT}/return"

# The folder of the call travels with the job, so that whoever finishes it needs nothing but the job.
CALL_VARIABLE = "PAI_CALL"

# The artifact of a function with `output`; its return value is the task's own XCom.
ARTIFACT_KEY = "artifact"


class _DlcDecoratedOperator(DecoratedOperator, DlcSubmitJobOperator):
    """Runs a function as a DLC job.

    Source and arguments lie in a folder of the generation's own below `staging_uri`, where every pod reads them; value
    and error come back through the same folder.

    :param staging_uri: `oss://bucket/prefix` of the calls; by default `_calls` below `output`. (templated)
    :param command: what runs the function in each pod; by default Python alone. (templated)
    :returns: what the function returned on rank 0; with `output` its artifact is a second XCom, `artifact`.
    """

    about = "Run {python_callable} as a DLC job, {framework}, {workers} workers"
    came = "{python_callable} returned {result}"

    custom_operator_name = "@task.pai_dlc"
    template_fields: Sequence[str] = ("staging_uri",)

    if not hasattr(DecoratedOperator, "xcom_push"):
        # Airflow 3.0 hands it on to where nothing uses it, and operators have it no more.
        xcom_push = None

    def __init__(
        self,
        *,
        framework: str = "pytorch",
        command: str = 'python "$PAI_CALL_DIR/runner.py"',
        staging_uri: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(framework=framework, command=command, **kwargs)
        self.staging_uri = staging_uri
        self._folder: OssUri | None = None

    def checked_reuse(self) -> str:
        """Refuse it: the XCom is what the function returns, and no artifact keeps that."""
        raise PaiConfigError("reuse", self.reuse, "none with a function: what it has returned before is not kept")

    def build(self, context: Any, identity: TaskIdentity, generation: int) -> Json:
        """Return the CreateJob body, and put the call's files where it mounts them."""
        self._folder = self._staging().join(identity.version(generation)).folder
        call = files(self.python_callable, self.op_args, self.op_kwargs)
        body = super().build(context, identity, generation)
        for name, text in call.items():
            self.oss.put(self._folder.join("call", name), text)
        return body

    def mounts(self, output: OssUri | None) -> list[Mount]:
        """Return the mounts, among them those of the call."""
        assert self._folder
        return [
            *super().mounts(output),
            Mount(str(self._folder.join("call").folder), CALL_PATH, True),
            Mount(str(self._folder.join("return").folder), RETURN_PATH, False),
        ]

    def environment(self, output: OssUri | None) -> dict[str, str]:
        """Return the environment variables, among them those of the call."""
        own = {CALL_VARIABLE: str(self._folder), "PAI_CALL_DIR": CALL_PATH, "PAI_RETURN_DIR": RETURN_PATH}
        return {**super().environment(output), **own}

    def told(self, result: Any) -> str:
        """Return in one line what the function returned."""
        return self.in_words(self.came, {"result": result})

    def failure(self, job: RemoteJob) -> PaiJobFailedError:
        """Return the error that tells why a job has failed: a `PaiFunctionError` where the function raised."""
        return self._raised(job, super().failure(job))

    def result(self, context: Any, identity: TaskIdentity, generation: int, job: RemoteJob) -> Any:
        """Return what the function returned on rank 0; with `output` the artifact is a second XCom."""
        at = self._call_of(job).join("return", "value.json")
        try:
            value = json.loads(self.oss.get(at))
        except PaiNotFoundError:
            why = f"it left no {at}: its command did not run the function to its end"
            raise self._raised(job, self._no_value(job, why)) from None
        made = super().result(context, identity, generation, job)
        if "uri" in made:
            context["ti"].xcom_push(key=ARTIFACT_KEY, value=made)
        return value

    def _staging(self) -> OssUri:
        """Return the folder of all calls.

        :raises PaiConfigError: there is none.
        :raises PaiNotFoundError: its bucket does not exist.
        """
        if self.staging_uri is None and self.output_uri is not None:
            return parse_uri("output", self.output_uri).join("_calls")
        staging = parse_uri("staging_uri", self.staging_uri)
        self.oss.need_bucket("staging_uri", staging)
        return staging

    def _call_of(self, job: RemoteJob) -> OssUri:
        uri = (self.hook.describe(job.job_id).get("Envs") or {}).get(CALL_VARIABLE)
        if not uri:
            raise self._no_value(job, "this task's job of an earlier try was not made by @task.pai_dlc; clear the task")
        return parse_uri(CALL_VARIABLE, uri)

    def _no_value(self, job: RemoteJob, why: str) -> PaiJobFailedError:
        facts = (self.hook.states.kind, job.job_id, job.status, "NoReturnValue", why)
        return PaiJobFailedError(*facts, self.hook.last_words(job))

    def _raised(self, job: RemoteJob, failure: PaiJobFailedError) -> PaiJobFailedError:
        """Return a failure as that of the function, where this has raised."""
        if (error := self._error(job)) is None:
            return failure
        facts = (failure.kind, job.job_id, job.status, failure.reason_code, failure.reason)
        return PaiFunctionError(*facts, error["type"], error["message"], error["traceback"], failure.diagnosis)

    def _error(self, job: RemoteJob) -> Json | None:
        """Return the error of the pod that failed first; what others met later follows from it."""
        try:
            left = list(self.oss.list_objects(self._call_of(job).join("return", "error-")))
            first = min(left, key=lambda found: (found.last_modified, found.uri.key), default=None)
            error: Json | None = json.loads(self.oss.get(first.uri)) if first else None
        except (PaiError, ValueError) as unread:
            self.log.warning("What the function raised could not be read: %s", unread)
            return None
        return error


def pai_dlc_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a task of a function that runs on DLC.

    :param python_callable: the function; it imports what it needs itself, and uses nothing around it.
    :param kwargs: arguments of `DlcSubmitJobOperator`; besides `staging_uri` and `multiple_outputs`.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_DlcDecoratedOperator, **kwargs
    )
