"""Hook for the commands that instances of DSW take from a queue on OSS, seen as jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from airflow_provider_pai.clock import in_words
from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.dsw.instances import INSTANCE, remote
from airflow_provider_pai.hooks.dsw.runs import DswRunHook, ended
from airflow_provider_pai.hooks.jobs import JobHook
from airflow_provider_pai.identity import TaggedJob, TaskIdentity
from airflow_provider_pai.image_tools.serve_commands import COMMAND, RESULT, STOP, TAKEN
from airflow_provider_pai.labels import Key, legal_name
from airflow_provider_pai.remote import QUEUE_URI, RUN_URI, Json, RemoteJob
from airflow_provider_pai.states import DSW_INSTANCE
from airflow_provider_pai.uri import OssUri

_SERVING = {
    **INSTANCE,
    "ImageId": str,
    "ImageUrl": str,
    "Datasets": [{"Uri": str, "MountPath": str, "MountAccess": str}],
}
_OURS = "an instance of this Airflow that serves commands: one that DswCreateInstanceOperator(serve_commands=True) made"

# Why a command ended that did not come to its own end, as causes know it.
_ENDED_BY = {
    "stop": ("StoppedByUser", "the command was stopped"),
    "limit": ("MaxRunningTime", "its time limit of {limit} has passed"),
    "restart": ("InstanceRestarted", "its instance was stopped, or what serves commands there, while it ran"),
    "refusal": ("InvalidParameter", "{why}"),
}


class ServingInstance(NamedTuple):
    """An instance that serves commands.

    :param folders: what is mounted: prefix on OSS, and whether it can be written.
    """

    instance_id: str
    queue: OssUri
    image: str
    folders: Mapping[str, bool]

    def need(self, field: str, uri: str, *, write: bool = False) -> None:
        """Refuse an address that the instance does not see.

        :raises PaiConfigError: naming what it sees.
        """
        seen = {folder: may for folder, may in self.folders.items() if uri.startswith(folder)}
        if not seen or (write and not seen[max(seen, key=len)]):
            mounted = ", ".join(f"{folder} ({'RW' if may else 'RO'})" for folder, may in self.folders.items())
            allowed = f"an address that {self.instance_id} has mounted{' for writes' if write else ''}: {mounted}"
            raise PaiConfigError(field, uri, allowed)


class DswCommandHook(DswRunHook):
    """A command for an instance that serves commands, seen as a job whose id is `<instance>/<command>`.

    The command's name is its task's identity and generation, and an object is there once: so is the command. Its
    status is that of its instance until that has taken it, and until its result is in the queue.
    """

    def serving(self, instance_id: str) -> ServingInstance:
        """Return an instance that this deployment has made to serve commands, and that does not rest.

        :raises PaiConfigError: it is none.
        """
        try:
            instance = self.describe(instance_id, _SERVING)
        except PaiNotFoundError:
            raise PaiConfigError("instance", instance_id, _OURS) from None
        queue, job = _queue(instance), remote(instance)
        if queue is None or job.tags.get(Key.DEPLOYMENT) != legal_name(self.connection.deployment):
            raise PaiConfigError("instance", instance_id, _OURS)
        if job.status in DSW_INSTANCE.resting | DSW_INSTANCE.stopping:
            raise PaiConfigError("instance", f"{instance_id} ({job.status})", "an instance that runs, or will")
        folders = {
            str(OssUri.parse(each["Uri"]).folder): each.get("MountAccess") != "RO"
            for each in instance.get("Datasets") or []
            if str(each.get("Uri") or "").startswith("oss://")
        }
        return ServingInstance(instance_id, queue, instance.get("ImageUrl") or instance.get("ImageId") or "", folders)

    def submit(self, body: Json) -> str:
        """Put a command into the queue of its instance, unless it is there, and return its id.

        What the same task has left in queues, and what has not ended, is withdrawn: it belongs to nobody.

        :param body: `InstanceId`, `Queue`, `Tags`, and what the instance reads: `environment`, `folders` and
            `limit_seconds`; the command's script lies in its run's folder.
        """
        tags, name = body["Tags"], _name(body["Tags"])
        job_id = f"{body['InstanceId']}/{name}"
        for job in self.tagged({Key.TASK: tags[Key.TASK]}):
            if job.job_id != job_id:
                self.request_stop(job.job_id)
        command = {field: body[field] for field in ("environment", "folders", "limit_seconds")}
        self.oss.put_once(OssUri.parse(body["Queue"]).join(name + COMMAND), json.dumps({**command, "tags": tags}))
        return job_id

    def get(self, job_id: str) -> RemoteJob:
        """Describe one command."""
        instance_id, _, name = job_id.partition("/")
        instance = self.describe(instance_id)
        queue = self._need_queue(instance)
        return self._command(instance, queue, name, self._names(queue, name))

    def tagged(self, tags: Mapping[str, str]) -> list[RemoteJob]:
        """Return every command that bears these tags, in the queues of all instances of this deployment."""
        ours = self.list_instances(labels={Key.DEPLOYMENT: legal_name(self.connection.deployment)})
        jobs = [job for instance in ours for job in self._commands(instance, tags.get(Key.TASK, ""))]
        return [job for job in jobs if tags.items() <= job.tags.items()]

    def find(self, identity: TaskIdentity) -> list[TaggedJob]:
        """Return every command that a task has queued."""
        return JobHook.find(self, identity)

    def variables(self, job_id: str, *needed: str) -> Json:
        """Return the environment variables of a command."""
        instance_id, _, name = job_id.partition("/")
        queue = self._need_queue(self.describe(instance_id))
        return dict(self._read(queue, name)["environment"])

    def request_stop(self, job_id: str, **_options: Any) -> None:
        """Ask for a command's stop and return at once; one that has ended or is gone is no error."""
        instance_id, _, name = job_id.partition("/")
        try:
            queue = self._need_queue(self.describe(instance_id))
        except PaiNotFoundError:
            return
        names = self._names(queue, name)
        if name + COMMAND in names and name + RESULT not in names:
            self.oss.put(queue.join(name + STOP), b"")

    def console_url(self, job_id: str) -> str:
        """Return the page of the command's instance."""
        return super().console_url(job_id.partition("/")[0])

    def _commands(self, instance: Json, prefix: str) -> Iterator[RemoteJob]:
        """Yield the commands of one instance whose names begin so."""
        if (queue := _queue(instance)) is None:
            return
        names = self._names(queue, prefix)
        for name in sorted(each.removesuffix(COMMAND) for each in names if each.endswith(COMMAND)):
            yield self._command(instance, queue, name, names)

    def _command(self, instance: Json, queue: OssUri, name: str, names: set[str]) -> RemoteJob:
        command = self._read(queue, name)
        job = remote(instance)._replace(
            job_id=f"{instance['InstanceId']}/{name}",
            tags=command["tags"],
            facts={"run_uri": command["environment"][RUN_URI]},
            usage={},  # its instance's time is billed with the task that has made that
        )
        if name + RESULT in names:
            return _ended(job, command, json.loads(self.oss.get(queue.join(name + RESULT))))
        if job.status in DSW_INSTANCE.resting | DSW_INSTANCE.stopping:
            return job
        kinds = {STOP: "Stopping", TAKEN: "Running"}
        return job._replace(status=next((kinds[kind] for kind in kinds if name + kind in names), "Queuing"))

    def _read(self, queue: OssUri, name: str) -> Json:
        return dict(json.loads(self.oss.get(queue.join(name + COMMAND))))

    def _names(self, queue: OssUri, prefix: str) -> set[str]:
        return {info.uri.key.removeprefix(queue.key) for info in self.oss.list_objects(queue.join(prefix))}

    def _need_queue(self, instance: Json) -> OssUri:
        queue = _queue(instance)
        if queue is None:
            raise PaiNotFoundError(self.service, "GetInstance", f"{instance['InstanceId']} serves no commands")
        return queue


def _queue(instance: Json) -> OssUri | None:
    uri = (instance.get("EnvironmentVariables") or {}).get(QUEUE_URI)
    return OssUri.parse(uri, QUEUE_URI).folder if uri else None


def _name(tags: Mapping[str, str]) -> str:
    """Return a command's name: of the same task, cycle and generation there is one."""
    return ".".join(tags[key] for key in (Key.TASK, Key.CYCLE, Key.GENERATION))


def _ended(job: RemoteJob, command: Json, result: Json) -> RemoteJob:
    job = ended(job, result)
    if (known := _ENDED_BY.get(result.get("ended_by") or "")) is None:
        return job
    code, reason = known
    limit = in_words(command.get("limit_seconds") or 0)
    return job._replace(status="RunFailed", reason_code=code, reason=reason.format(limit=limit, why=result.get("why")))
