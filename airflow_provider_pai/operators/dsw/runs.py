"""Operators that run a notebook or a command on a DSW instance of its own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_pai.exceptions import PaiConfigError, PaiError, PaiJobFailedError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import (
    one_of,
    optional,
    parse_uri,
    required,
)
from airflow_provider_pai.labels import ServedModel
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.operators.deferring import REAPER, Settled
from airflow_provider_pai.operators.dsw.base import DswMakingOperator
from airflow_provider_pai.operators.dsw.serving import OF_THE_INSTANCE, check_alone, served_command, served_id
from airflow_provider_pai.operators.notebooks.base import NotebookOperator
from airflow_provider_pai.operators.notebooks.files import find_notebook, read_notebook, undeclared
from airflow_provider_pai.operators.workload.made import ARTIFACT, finished, unfinished
from airflow_provider_pai.remote import (
    CODE_COMMIT,
    DEFAULT_LOG_INTERVAL,
    EXECUTED_NAME,
    HTML_NAME,
    LOG_NAME,
    OUTPUT_URI,
    RUN_DIR,
    RUN_URI,
    Json,
    RemoteJob,
)
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw import DswCommandHook, DswHook, DswRunHook
    from airflow_provider_pai.hooks.dsw.commands import ServingInstance

# What runs a notebook.
PROGRAM = "run_notebook.py"

AFTER_CHOICES = ("stop", "delete", "keep")

# A worker that waits so long for the end of an instance costs less than one that nobody ends.
_END_SECONDS = 600.0


class DswRunCommandOperator(DswMakingOperator["DswRunHook"]):
    """Run a command on a DSW instance of its own; the instance is stopped after it.

    DSW has no API that runs a command: the instance starts a script of the run's folder on OSS (`run_uri`), which
    leaves its log and exit code there, and that is what is waited for. The log is copied there every `log_interval`.

    API: CreateInstance, CreateInstanceShutdownTimer.

    :param instance: what `DswCreateInstanceOperator(serve_commands=True)` returned, or its id: the command runs there,
        after those that came before it, in a clean folder. What it reads and writes must be mounted there; image,
        instance type, role and what becomes of it are the instance's own. (templated)
    :param after: what becomes of an instance of its own: stop, delete or keep.
    :returns: `{"instance_id", "output", "commit", "run_uri", "log_uri", "exit_code", "finished_at", "url",
        "instance"}`; instance is stopped, deleted, kept or left running, which the log tells as an error. With files in
        its output also the fields of the ModelArtifact that they are, if there is a `metrics.json`, else of the
        DatasetArtifact.
    """

    about = "Run a command on a DSW instance of its own: {command}"
    came = "The command of DSW instance {instance_id} ended well, {instance}: {log_uri}"

    template_fields: Sequence[str] = ("instance",)

    def __init__(
        self, *, image: str = "", instance: str | Mapping[str, Any] | None = None, after: str = "stop", **kwargs: Any
    ) -> None:
        super().__init__(image=image, **kwargs)
        self.instance = instance
        self.after = after

    @property
    def hook_class(self) -> type[DswRunHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dsw import DswCommandHook, DswRunHook

        return DswRunHook if self.instance is None else DswCommandHook

    @cached_property
    def serving(self) -> ServingInstance:
        """Return the instance that serves the command.

        :raises PaiConfigError: it is none of ours, or rests.
        """
        return cast("DswCommandHook", self.hook).serving(served_id(self.instance))

    def check(self) -> None:
        """Read the fields; refuse bad input."""
        if self.instance is not None:
            check_alone({name: getattr(self, name) for name in OF_THE_INSTANCE})
            self.image = self.serving.image
        super().check()
        one_of("after", self.after, AFTER_CHOICES)

    def build(self, context: Any, identity: TaskIdentity, generation: int) -> Json:
        """Return the CreateInstance body; what the run is to leave is described in its folder."""
        body: Json = super().build(context, identity, generation)
        run, version = self._run_folder(identity, generation), identity.version(generation)
        if self.output_uri and run:
            output = parse_uri("output", self.output_uri)
            facts = {"name": self.output_name, "version": version, "record": str(run)}
            artifact = self.artifact(context, identity, output.join(version).folder, **facts)
            self.oss.put(run.join(ARTIFACT), json.dumps(unfinished(artifact, body)))
        return body

    def check_place(self) -> None:
        """Refuse what names no place to run: an instance type, a quota, or an instance that serves commands."""
        if self.instance is None:
            super().check_place()

    def body(self, identity: TaskIdentity, generation: int, output: OssUri | None, run: OssUri | None) -> Json:
        """Return what makes the instance, or the command for the one that serves."""
        if self.instance is None:
            return super().body(identity, generation, output, run)
        mounts, limit = self.all_mounts(output, run), self.time_limit.seconds
        command = served_command(self.serving, mounts, self.variables(output, run), limit)
        return {**command, "Tags": identity.tags(generation)}

    def limit(self, instance_id: str) -> None:
        """Let the service stop an instance of its own; what serves commands ends one in time by itself."""
        if self.instance is None:
            super().limit(instance_id)

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
            "instance_id": job.job_id.partition("/")[0],
            "output": environment.get(OUTPUT_URI),
            "commit": environment.get(CODE_COMMIT),
            "log_uri": str(OssUri.parse(job.facts["run_uri"]).join(LOG_NAME)),
            "url": self.hook.console_url(job.job_id),
            **job.facts,
        }
        if self.after == "keep":
            self.keep_lab(context, facts["instance_id"])
        model, key = ServedModel(version=identity.version(generation)), f"run/{job.job_id}/{identity.key(generation)}"
        self.record("run_finished", identity.task_id, identity, model, facts, key=key, beside=job.facts["run_uri"])
        return {**facts, **self._made(job, facts["url"])} if facts["output"] else facts

    def _made(self, job: RemoteJob, url: str) -> Json:
        """Return the model or the dataset that the run has left; nothing where it left no file."""
        from airflow_provider_pai.artifact import JobRef

        job_ref = JobRef(service="dsw", id=job.job_id, url=url)
        instances = {self.ecs_spec: 1} if self.ecs_spec else {}
        made = finished(self.oss, OssUri.parse(job.facts["run_uri"]), job=job_ref, instances=instances, usage=self.used)
        if made is None:
            return {}
        self.record_artifact(made)
        return made.to_dict()

    def _end(self, context: Any, job: RemoteJob, error: BaseException | None = None) -> str:
        """End the instance; return what has become of it: the run's result is good even if it can't be ended.

        What it has used is told when it rests, and by nobody when it is deleted.
        """
        if self.instance is not None and error is not None and not self._killed:
            self.give_up("it is not to begin when its instance is started again")
        if self.instance is not None or self.after == "keep":
            return "kept"
        if not self._killed:
            self.hook.retry_seconds = _END_SECONDS
        try:
            self.hook.request_stop(job.job_id)
            # A run that is good, and could not be told of, is found by its instance again.
            if self.after == "delete" and isinstance(error, PaiJobFailedError | None):
                rest = wait_for_rest(self.hook, job.job_id, self.poll_interval)
                self.account(context, job._replace(usage=rest.usage), error)
                self.hook.delete(job.job_id)
                return "deleted"
        except PaiError as refusal:
            self.log.error("INSTANCE %s RUNS ON and costs; %s: %s", job.job_id, REAPER, refusal)  # noqa: TRY400
            Stats.incr("pai.job.left", tags={"service": self.hook.service})
            return "left running"
        return "stopped"


class DswRunNotebookOperator(NotebookOperator["DswRunHook"], DswRunCommandOperator):
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

    def begin(self, context: Any) -> str | Settled:
        """Find or start the run; keep where it leaves what links lead to."""
        begun = super().begin(context)
        if isinstance(begun, str):
            self.keep_run(context, self.hook.variables(begun)[RUN_URI])
        return begun

    @property
    def tools(self) -> Sequence[str]:
        """Return the program that executes the notebook."""
        return (PROGRAM,)

    @cached_property
    def text(self) -> Mapping[str, Any] | None:
        """Return the notebook as it is before the run, read once."""
        text = find_notebook(self.notebook, None, self.source, self.data(), self.oss)
        return None if text is None else read_notebook(self.notebook, text)

    def look_first(self, context: Any, identity: TaskIdentity) -> None:
        """Refuse what is no notebook, where it can be read here; name parameters that it does not declare."""
        if self.text and self.parameters and (words := undeclared(self.text, self.parameters)):
            self.log.warning("Notebook %s %s", self.notebook, words)
        super().look_first(context, identity)

    def script(self) -> str:
        """Return the command that executes the notebook."""
        options = {
            "--kernel": self.kernel,
            "--pip-index": self.hook.connection.pip_index,
            "--every": f"{self.log_interval or DEFAULT_LOG_INTERVAL:g}",
        }
        given = [f"{name}={value}" for name, value in options.items() if value]
        return f'python "${RUN_DIR}/{PROGRAM}" {shlex.join([*given, "--", self.notebook])} "${RUN_DIR}"'

    def result(self, context: Any, identity: TaskIdentity, generation: int, job: RemoteJob) -> Json:
        """Return the run's facts."""
        facts: Json = super().result(context, identity, generation, job)
        run = OssUri.parse(job.facts["run_uri"])
        self.push_results(identity, generation, run)
        return {**facts, "notebook_uri": str(run.join(EXECUTED_NAME)), "html_uri": str(run.join(HTML_NAME))}


def wait_for_rest(hook: DswHook, instance_id: str, poll_interval: float) -> RemoteJob:
    """Wait until an instance no longer runs, whatever became of its run; only then it can be deleted."""
    from airflow_provider_pai.hooks.dsw import DswRestHook

    return hook.sibling(DswRestHook).wait(instance_id, poll_interval=poll_interval)
