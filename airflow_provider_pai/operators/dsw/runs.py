"""Operators that run a notebook or a command on a DSW instance of its own."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_pai import image_tools
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import (
    json_list,
    mapping,
    merged,
    moment,
    one_of,
    optional,
    parse_uri,
    required,
    text_mapping,
)
from airflow_provider_pai.labels import ServedModel, checked_labels
from airflow_provider_pai.links import DswInstanceLink
from airflow_provider_pai.operators.deferring import REAPER, Settled
from airflow_provider_pai.operators.run_script import run_script
from airflow_provider_pai.operators.workload.base import CODE_PATH, MOUNT_ROOT, Mount, WorkloadOperator
from airflow_provider_pai.remote import (
    CODE_COMMIT,
    CODE_NAME,
    DEFAULT_LOG_INTERVAL,
    LOG_NAME,
    OUTPUT_URI,
    RUN_DIR,
    RUN_URI,
    TIME_LIMIT,
    Json,
    RemoteJob,
)
from airflow_provider_pai.states import DSW_INSTANCE, Verdict
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw import DswHook, DswRunHook
    from airflow_provider_pai.operators.workload.code import Source
    from airflow_provider_pai.operators.workload.limits import TimeLimit

RUN_PATH = f"{MOUNT_ROOT}/run"

# What runs a notebook, and what it leaves in the run's folder.
PROGRAM, NOTEBOOK, PAGE = "run_notebook.py", "executed.ipynb", "executed.html"

AFTER_CHOICES = ("stop", "delete", "keep")

# A worker that waits so long for the end of an instance costs less than one that nobody ends.
_END_SECONDS = 600.0


class DswRunCommandOperator(WorkloadOperator["DswRunHook"]):
    """Run a command on a DSW instance of its own; the instance is stopped after it.

    DSW has no API that runs a command: the instance starts a script of the run's folder on OSS (`run_uri`), which
    leaves its log and exit code there, and that is what is waited for. The log is copied there every `log_interval`.

    API: CreateInstance, CreateInstanceShutdownTimer.

    :param run_uri: `oss://bucket/prefix` for logs and results of runs; by default `_runs` beside `output`. (templated)
    :param ecs_spec: instance type of the public pool. (templated)
    :param resource_config: with `resource_id`: CPU, GPU, GPUType, Memory, SharedMemory as texts. (templated)
    :param resource_id: quota to run in. (templated)
    :param after: what becomes of the instance: stop, delete or keep.
    :param instance: merged over the CreateInstance body, in the API's field names. (templated)
    :returns: `{"instance_id", "output", "commit", "run_uri", "log_uri", "exit_code", "finished_at", "url",
        "instance"}`; instance is stopped, deleted, kept or left running, which the log tells as an error.
    """

    about = "Run a command on a DSW instance of its own: {command}"
    came = "The command of DSW instance {instance_id} ended well, {instance}: {log_uri}"

    link = DswInstanceLink
    operator_extra_links = (DswInstanceLink(),)
    ui_color = "#d6eaff"
    template_fields: Sequence[str] = (
        "run_uri",
        "ecs_spec",
        "resource_config",
        "resource_id",
        "instance",
    )

    def __init__(
        self,
        *,
        run_uri: str | None = None,
        ecs_spec: str | None = None,
        resource_config: Mapping[str, str] | None = None,
        resource_id: str | None = None,
        after: str = "stop",
        instance: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_uri = run_uri
        self.ecs_spec = ecs_spec
        self.resource_config = resource_config
        self.resource_id = resource_id
        self.after = after
        self.instance = instance

    @property
    def hook_class(self) -> type[DswRunHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dsw import DswRunHook

        return DswRunHook

    @property
    def rows_beside(self) -> str | None:
        """Return where runs leave their results, else the output."""
        return self.run_uri or self.output_uri

    def check(self) -> None:
        """Read the fields; refuse bad input."""
        super().check()
        self.run_uri = optional("run_uri", self.run_uri, "an oss:// prefix")
        self.ecs_spec = optional("ecs_spec", self.ecs_spec, "an instance type")
        self.resource_id = optional("resource_id", self.resource_id, "the id of a quota")
        self.resource_config = text_mapping("resource_config", self.resource_config)
        self.instance = mapping("instance", self.instance)
        if not self.run_uri and not self.output_uri:
            raise PaiConfigError(
                "run_uri", self.run_uri, "an oss:// prefix, since there is no output beside which to put it"
            )
        if self.run_uri:
            parse_uri("run_uri", self.run_uri)
        if bool(self.ecs_spec) == bool(self.resource_id):
            both = {"ecs_spec": self.ecs_spec, "resource_id": self.resource_id}
            raise PaiConfigError("ecs_spec, resource_id", both, "exactly one of the two")
        one_of("after", self.after, AFTER_CHOICES)

    def build(self, context: Any, identity: TaskIdentity, generation: int) -> Json:
        """Return the CreateInstance body."""
        self.check()
        self.heed_budget(context, identity)
        output = self.version_folder(identity, generation)
        run = self._run_folder(identity, generation)
        if self.inputs:
            self.datasets(run if self.pin else None)
        if self.source and self.source.login:
            self._bring_code(self.source, run)
        limit = {TIME_LIMIT: f"{self.time_limit.seconds:.0f}"}
        environment = {**self.environment(output), **limit, RUN_URI: str(run), RUN_DIR: RUN_PATH}
        if output:
            environment[OUTPUT_URI] = str(output)
        body: Json = {
            # At most 27 letters, digits and _.
            "InstanceName": f"airflow_{identity.key(generation)}",
            "EcsSpec": self.ecs_spec,
            "ResourceId": self.resource_id,
            "RequestedResource": dict(self.resource_config or {}),
            "ImageUrl" if "/" in self.image else "ImageId": self.image,
            "ImageAuth": self.image_login.dsw_auth if self.image_login else None,
            "Datasets": [
                _dataset(self.oss.mount_uri(m.uri), m) for m in (*self.mounts(output), Mount(str(run), RUN_PATH, False))
            ],
            "EnvironmentVariables": environment,
            "UserCommand": {"OnStart": {"Content": self._script()}},
            "CredentialConfig": self._credential_config(),
            "Accessibility": "PRIVATE",
        }
        body = merged({name: value for name, value in body.items() if value}, self.instance or {})
        labels = _labels(body.get("Labels") or [], identity.tags(generation))
        self.pin_inputs(run, identity.version(generation), output)
        return {**body, "Labels": labels}

    def begin(self, context: Any) -> str | Settled:
        """Find or start the run, and let the service itself stop its instance in time; return its id."""
        begun = super().begin(context)
        if isinstance(begun, str):
            self._set_timer(begun, self.time_limit)
        return begun

    def finish(self, context: Any, job: RemoteJob) -> Any:
        """End the instance, whatever the command came to, and return the run."""
        try:
            result = super().finish(context, job)
        except BaseException as error:
            self._end(context, job, error)
            raise
        return {**result, "instance": self._end(context, job)}

    def result(self, context: Any, identity: TaskIdentity, generation: int, job: RemoteJob) -> Json:
        """Return the run's facts."""
        told = {OUTPUT_URI: self.output_uri, CODE_COMMIT: self.code}
        environment = self.hook.variables(job.job_id, *(name for name, given in told.items() if given))
        facts = {
            "instance_id": job.job_id,
            "output": environment.get(OUTPUT_URI),
            "commit": environment.get(CODE_COMMIT),
            "log_uri": str(OssUri.parse(job.facts["run_uri"]).join(LOG_NAME)),
            "url": self.hook.console_url(job.job_id),
            **job.facts,
        }
        model, key = ServedModel(version=identity.version(generation)), f"run/{job.job_id}/{identity.key(generation)}"
        self.record("run_finished", identity.task_id, identity, model, facts, key=key, beside=job.facts["run_uri"])
        return facts

    def _set_timer(self, instance_id: str, limit: TimeLimit) -> None:
        """Let the service stop the instance; it counts from its making, so that each try asks for the same time."""
        try:
            job = self.hook.get(instance_id)
            if not self.hook.states.is_final(job.status):
                begun = moment("GmtCreateTime", job.created) if job.created else self.hook.service_clock.utc()
                self.hook.stop_at(instance_id, begun + timedelta(seconds=limit.seconds))
        except PaiApiError as error:
            self.log.error("INSTANCE %s HAS NO TIME LIMIT; %s: %s", instance_id, REAPER, error)  # noqa: TRY400

    def _bring_code(self, source: Source, run: OssUri) -> None:
        """Put a private repository's files into the run's folder: an instance has no place for a token.

        :raises PaiConfigError: they can't be read here.
        """
        from airflow_provider_pai.operators.workload.git import GitError, archive

        with tempfile.TemporaryDirectory(prefix="pai-code-") as folder:
            packed = Path(folder) / CODE_NAME
            try:
                archive(source.repo, source.commit, source.login, packed)
            except GitError as error:
                allowed = f"a repository that the worker can clone; git says: {error}"
                raise PaiConfigError("code['repo']", source.repo, allowed) from None
            self.oss.upload(packed, run.join(CODE_NAME))

    def _run_folder(self, identity: TaskIdentity, generation: int) -> OssUri:
        parent = OssUri.parse(self.run_uri) if self.run_uri else OssUri.parse(self.output_uri).join("_runs")
        return parent.join(identity.version(generation)).folder

    def _script(self) -> str:
        every = self.log_interval or DEFAULT_LOG_INTERVAL
        return run_script(folder=RUN_PATH, command=self.script(), source=self.source, code_path=CODE_PATH, every=every)

    def _credential_config(self) -> Json | None:
        if not self.role_arn:
            return None
        role = {"RoleArn": self.role_arn, "RoleType": "service"}
        return {
            "Enable": True,
            "AliyunEnvRoleKey": "0",
            "Configs": [{"Key": "0", "Type": "Role", "Roles": [role]}],
        }

    def _end(self, context: Any, job: RemoteJob, error: BaseException | None = None) -> str:
        """End the instance; return what has become of it: the run's result is good even if it can't be ended.

        What it has used is told when it rests, and by nobody when it is deleted.
        """
        if self.after == "keep":
            return "kept"
        if not self._killed:
            self.hook.retry_seconds = _END_SECONDS
        try:
            self.hook.request_stop(job.job_id)
            if self.after == "delete":
                rest = wait_for_rest(self.hook, job.job_id, self.poll_interval)
                self.account(context, job._replace(usage=rest.usage), error)
                self.hook.delete(job.job_id)
                return "deleted"
        except PaiError as refusal:
            self.log.error("INSTANCE %s RUNS ON and costs; %s: %s", job.job_id, REAPER, refusal)  # noqa: TRY400
            Stats.incr("pai.job.left", tags={"service": self.hook.service})
            return "left running"
        return "stopped"


class DswRunNotebookOperator(DswRunCommandOperator):
    """Run a notebook on a DSW instance of its own, from a Git commit or a mounted prefix.

    The executed notebook, with all its output, reaches the run's folder while it runs, also where a cell fails; beside
    it lies a page of it. Its cell with the tag `parameters` is followed by one with those of the task. Its folders are
    in the variables that all workloads have. It is run by papermill, of the image or of the connection's `pip_index`.

    :param notebook: path of the notebook, relative to the code's folder, or absolute. (templated)
    :param kernel: name of the image's kernel that runs it; by default the one that the notebook names. (templated)
    :returns: as `DswRunCommandOperator`, with `notebook_uri` and `html_uri`, where the executed notebook and its page
        lie.
    """

    about = "Run notebook {notebook} on a DSW instance of its own"
    came = "The notebook of DSW instance {instance_id} ended well, {instance}: {notebook_uri}"

    template_fields: Sequence[str] = ("notebook", "kernel")

    def __init__(self, *, notebook: str, kernel: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.notebook = notebook
        self.kernel = kernel

    def check(self) -> None:
        """Refuse bad input."""
        self.notebook = required("notebook", self.notebook, "the path of an .ipynb file")
        self.kernel = optional("kernel", self.kernel, "the name of a kernel")
        super().check()
        if not self.notebook.endswith(".ipynb"):
            raise PaiConfigError("notebook", self.notebook, "the path of an .ipynb file")

    def build(self, context: Any, identity: TaskIdentity, generation: int) -> Json:
        """Return the CreateInstance body, with what runs the notebook in the run's folder."""
        body: Json = super().build(context, identity, generation)
        program = files(image_tools) / PROGRAM
        self.oss.put(self._run_folder(identity, generation).join(PROGRAM), program.read_bytes())
        return body

    def script(self) -> str:
        """Return the command that executes the notebook."""
        options = {
            "--kernel": self.kernel,
            "--pip-index": self.hook.connection.pip_index,
            "--every": f"{self.log_interval or DEFAULT_LOG_INTERVAL:g}",
        }
        given = [f"{name}={value}" for name, value in options.items() if value]
        return shlex.join(["python", f"{RUN_PATH}/{PROGRAM}", *given, "--", self.notebook, RUN_PATH])

    def result(self, context: Any, identity: TaskIdentity, generation: int, job: RemoteJob) -> Json:
        """Return the run's facts."""
        facts: Json = super().result(context, identity, generation, job)
        run = OssUri.parse(job.facts["run_uri"])
        return {**facts, "notebook_uri": str(run.join(NOTEBOOK)), "html_uri": str(run.join(PAGE))}


def wait_for_rest(hook: DswHook, instance_id: str, poll_interval: float) -> RemoteJob:
    """Wait until an instance no longer runs, whatever became of its run; only then it can be deleted."""
    from airflow_provider_pai.hooks.dsw import DswHook

    return hook.sibling(DswHook).wait(
        instance_id, poll_interval=poll_interval, until=lambda job: DSW_INSTANCE.judge(job.status) is Verdict.FAILED
    )


def _labels(given: Any, own: Mapping[str, str]) -> list[Json]:
    """Return the labels that `instance` gives, and the run's own."""
    field, allowed = "instance['Labels']", "a list of objects with Key and Value"
    pairs = [mapping(field, label, allowed) for label in json_list(field, given, allowed)]
    labels = checked_labels(field, {str(pair.get("Key") or ""): pair.get("Value") for pair in pairs}, own)
    return [{"Key": key, "Value": value} for key, value in {**labels, **own}.items()]


def _dataset(uri: str, mount: Mount) -> Json:
    return {"Uri": uri, "MountPath": mount.path, "MountAccess": "RO" if mount.read_only else "RW"}
