"""Operator that makes an instance for several tasks, or for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_pai.exceptions import PaiApiError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import Span, flag, parse_uri, seconds, whole_number
from airflow_provider_pai.labels import UNTIL_RUN_ENDS, UNTIL_STOPPED, Key
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.operators.dsw.base import DswMakingOperator
from airflow_provider_pai.operators.dsw.serving import PROGRAM, serving_body, serving_script
from airflow_provider_pai.operators.workload.limits import TimeLimit
from airflow_provider_pai.remote import OUTPUT_URI, RUN_URI, Json, RemoteJob
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw import DswHook


class DswCreateInstanceOperator(DswMakingOperator["DswHook"]):
    """Create an instance and wait until it runs; the tasks behind it use it, and one of them stops or deletes it.

    The service itself stops it when it idles and when its time is over, whatever becomes of Airflow. A task that is
    killed, timed out or fails stops what it has begun. A cleared task stops the instance of before and makes another.

    Its `command` is what it does at each start, in the background. Its `output` is mounted for writing as it is,
    without a version folder. `max_running_time` is by default the connection's, else 7 days: `execution_timeout` is for
    its making.

    API: CreateInstance, CreateInstanceShutdownTimer, CreateIdleInstanceCuller.

    :param idle_timeout: how long it may idle before the service stops it, in whole minutes; None: for ever.
    :param idle_percent: it idles while CPU and GPU are used less than this, from 1 to 100.
    :param serve_commands: it takes the commands and notebooks of tasks whose `instance` it is, one after another.
    :param keep: it may outlive its DAG run; otherwise `airflow pai jobs orphans` finds it then.
    :returns: `{"instance_id", "status", "output", "run_uri", "url"}`.
    """

    about = "Create a DSW instance with {image}"
    came = "DSW instance {instance_id} is {status}: {url}"

    needs_command: ClassVar[bool] = False
    runs_once: ClassVar[bool] = False

    def __init__(
        self,
        *,
        idle_timeout: Span | None = timedelta(hours=1),
        idle_percent: int = 10,
        serve_commands: bool = False,
        keep: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        idle = idle_timeout
        self.idle_timeout = None if idle is None else seconds("idle_timeout", idle, least=60)
        self.idle_percent = whole_number("idle_percent", idle_percent, least=1, most=100)
        self.serve_commands = flag("serve_commands", serve_commands)
        self.keep = flag("keep", keep)

    @property
    def hook_class(self) -> type[DswHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dsw import DswHook

        return DswHook

    def tags(self, identity: TaskIdentity, generation: int) -> Mapping[str, str]:
        """Return the labels, which tell that the instance outlives its task."""
        return {**super().tags(identity, generation), Key.LASTS: UNTIL_STOPPED if self.keep else UNTIL_RUN_ENDS}

    @property
    def has_script(self) -> bool:
        """Tell whether the instance does something at its start."""
        return self.serve_commands or super().has_script

    @property
    def tools(self) -> Sequence[str]:
        """Return the programs that the instance needs."""
        return (PROGRAM,) if self.serve_commands else ()

    def on_start(self) -> str:
        """Return the script that the instance runs at each start, for bash."""
        before = super().on_start() if super().has_script else ""
        return serving_script(before, self.poll_interval) if self.serve_commands else before

    def body(self, identity: TaskIdentity, generation: int, output: OssUri | None, run: OssUri | None) -> Json:
        """Return the CreateInstance body."""
        body = super().body(identity, generation, output, run)
        return serving_body(body, run) if self.serve_commands and run else body

    def version_folder(self, identity: TaskIdentity, generation: int) -> OssUri | None:
        """Return the output itself: each task that uses the instance writes into a folder of its own.

        :raises PaiNotFoundError: the bucket does not exist.
        """
        if self.output_uri is None:
            return None
        output = parse_uri("output", self.output_uri)
        self.oss.need_bucket("output", output)
        return output.folder

    @cached_property
    def time_limit(self) -> TimeLimit:
        """Return how long the service lets the instance run, and say so once."""
        limit = TimeLimit.of(self.max_running_time, None, self.hook.connection.max_running_time)
        self.log.info("The service itself ends it after %s", limit)
        return limit

    def result(self, context: Any, identity: TaskIdentity, generation: int, job: RemoteJob) -> Json:
        """Return the instance's facts, once the service itself stops it when it idles."""
        self._guard(job.job_id)
        self.keep_lab(context, job.job_id)
        environment = self.hook.describe(job.job_id).get("EnvironmentVariables") or {}
        return {
            "instance_id": job.job_id,
            "status": job.status,
            "output": environment.get(OUTPUT_URI),
            "run_uri": environment.get(RUN_URI),
            "url": self.hook.console_url(job.job_id),
        }

    def _guard(self, instance_id: str) -> None:
        if self.idle_timeout is None:
            return
        try:
            self.hook.stop_when_idle(instance_id, int(self.idle_timeout // 60), self.idle_percent)
        except PaiApiError as error:
            self.log.error("INSTANCE %s IS NOT STOPPED WHEN IT IDLES: %s", instance_id, error)  # noqa: TRY400
