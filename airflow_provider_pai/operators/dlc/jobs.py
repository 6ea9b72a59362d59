"""Operator that trains on DLC: one job, of as many nodes as it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import (
    flag,
    mapping,
    merged,
    optional,
    parse_uri,
    text_mapping,
    whole_number,
)
from airflow_provider_pai.labels import checked_labels
from airflow_provider_pai.links import DlcJobLink
from airflow_provider_pai.operators.dlc.checkpoints import check_checkpoints, delete_checkpoints, share_checkpoints
from airflow_provider_pai.operators.dlc.files import PARAMETERS, folder_of, is_long, write_file
from airflow_provider_pai.operators.dlc.frameworks import (
    RESERVED_ENVIRONMENT,
    check_success_policy,
    framework_named,
    job_specs,
    replicas,
)
from airflow_provider_pai.operators.dlc.nodes import check_size, check_spot, spec_with_gpus, spot_spec, user_vpc
from airflow_provider_pai.operators.dlc.provenance import job_facts, telling_its_environment
from airflow_provider_pai.operators.dlc.reuse import ReusingOperator
from airflow_provider_pai.operators.workload.base import ARTIFACT_VARIABLE, CODE_PATH, MOUNT_ROOT, Mount
from airflow_provider_pai.operators.workload.made import ARTIFACT, unfinished
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dlc import DlcHook

JOB_PATH = f"{MOUNT_ROOT}/job"

TIME_LIMIT = "JobMaxRunningTimeMinutes"

# What a display name may not hold (CreateJobRequest.display_name).
_NOT_IN_NAMES = r"[^A-Za-z0-9_.-]"


_REUSED = "Nothing has changed since {created_at}, no job was made: {name} {version}, metrics {metrics}"
_ARTIFACT = "Artifact {name} {version}: {files} files, {size} bytes, metrics {metrics}"


class DlcSubmitJobOperator(ReusingOperator):
    """Train on DLC; exactly one job, whatever happens to the worker.

    The command writes its model, `metrics.json` (name to number) and, if it likes, `params.json` into `PAI_OUTPUT_DIR`.

    API: CreateJob.

    What runs is `command`, or `entry_script` of `code`. The size of a node is one of `ecs_spec`, `resource_config` and
    `gpu_type` with `gpus`; all nodes have the same.

    :param framework: tensorflow, pytorch, xgboost, mpi, ray, elastic_batch, mxnet, or python: one plain worker, for
        scikit-learn and all that trains by itself. (templated)
    :param workers: number of worker nodes, by default 1. (templated)
    :param roles: instead of `workers`, number of nodes by role, e.g. `{"Chief": 1, "PS": 2, "Worker": 4}`. (templated)
    :param entry_script: instead of `command`, a Python (or .sh) script, relative to the code's folder. (templated)
    :param success_policy: tensorflow: AllWorkers (the service's default) or ChiefWorker. (templated)
    :param ecs_spec: instance type of the public pool, e.g. `ecs.g6.xlarge`. (templated)
    :param gpu_type: GPU by name, e.g. `A10`: of the quota `resource_id`, else of the public pool, where the smallest
        instance type that has it is taken. (templated)
    :param gpus: GPUs of a node, by default 1. (templated)
    :param resource_config: with `resource_id`: CPU, GPU, GPUType, Memory, SharedMemory of a worker. (templated)
    :param resource_id: quota to run in; without one the public pool is used. (templated)
    :param spot: `{"discount_limit": 0.8}` (part of the full price) or `{"price_limit": 1.5}` (per minute): spot
        instances up to it; with `"last_try_on_demand": True` the last of Airflow's tries takes no spot. (templated)
    :param checkpoints: `oss://bucket/prefix`: the command finds a folder below it as `PAI_CHECKPOINT_DIR`, the same for
        all tries until the task is cleared, and in `PAI_ATTEMPT` which job of them it is, from 1. (templated)
    :param keep_checkpoints: leave them there when the task has succeeded; by default they are deleted then.
    :param vpc: `vpc_id`, `security_group_id` and, if need be, `switch_id` with `extended_cidrs`, `default_route`.
        (templated)
    :param settings: further Settings in the API's field names. (templated)
    :param model_name: name of the artifact; by default the last part of `output`. (templated)
    :param job_name: display name; by default made of DAG and task. (templated)
    :param priority: 1 to 9.
    :param job: merged over the CreateJob body, in the API's field names. (templated)
    :returns: a `ModelArtifact` as a dict where `output` is given, else `{"job_id", "status", "url"}`.
    """

    about = "Run a DLC job, {framework}: {entry_script}{command}"
    came = "DLC job {job_id}: {status}"

    link = DlcJobLink
    operator_extra_links = (DlcJobLink(),)
    ui_color = "#ffe9d6"
    reserved_environment = RESERVED_ENVIRONMENT
    template_fields: Sequence[str] = (
        "framework",
        "workers",
        "roles",
        "entry_script",
        "success_policy",
        "ecs_spec",
        "resource_config",
        "gpu_type",
        "gpus",
        "resource_id",
        "spot",
        "checkpoints",
        "vpc",
        "settings",
        "model_name",
        "job_name",
        "job",
    )
    template_fields_renderers = {
        "command": "bash",
        **dict.fromkeys(("roles", "resource_config", "spot", "vpc", "settings", "job"), "json"),
    }

    def __init__(
        self,
        *,
        framework: str,
        workers: int | str | None = None,
        roles: Mapping[str, int | str] | None = None,
        entry_script: str | None = None,
        success_policy: str | None = None,
        ecs_spec: str | None = None,
        resource_config: Mapping[str, str] | None = None,
        gpu_type: str | None = None,
        gpus: int | str | None = None,
        resource_id: str | None = None,
        spot: Mapping[str, float | str | bool] | None = None,
        checkpoints: str | None = None,
        keep_checkpoints: bool = False,
        vpc: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        model_name: str | None = None,
        job_name: str | None = None,
        priority: int | str | None = None,
        job: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.framework = framework
        self.workers = workers
        self.roles = roles
        self.entry_script = entry_script
        self.success_policy = success_policy
        self.ecs_spec = ecs_spec
        self.resource_config = resource_config
        self.gpu_type = gpu_type
        self.gpus = gpus
        self.resource_id = resource_id
        self.spot = spot
        self.checkpoints = checkpoints
        self.keep_checkpoints = flag("keep_checkpoints", keep_checkpoints)
        self.vpc = vpc
        self.settings = settings
        self.model_name = model_name
        self.job_name = job_name
        self.priority = priority
        self.job = job
        self._parameters_at: OssUri | None = None

    @property
    def hook_class(self) -> type[DlcHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dlc import DlcHook

        return DlcHook

    def check(self) -> None:
        """Read the fields; refuse bad input."""
        self._read()
        if self.entry_script and (self.command or not self.code):
            raise PaiConfigError("entry_script", self.entry_script, "it goes with code and without command")
        super().check()
        replicas(self.framework, self.workers, self.roles)
        check_success_policy(self.framework, self.success_policy)
        check_size(self.ecs_spec, self.resource_config, self.gpu_type, self.gpus, self.resource_id)
        job_type = framework_named(self.framework).job_type
        check_spot(self.spot, job_type, self.ecs_spec, self.resource_id, self.retries)
        check_checkpoints(self.checkpoints, self.output_uri, self.data().values())
        user_vpc(self.vpc)
        if self.job_name and (len(self.job_name) > 256 or re.search(_NOT_IN_NAMES, self.job_name)):
            raise PaiConfigError("job_name", self.job_name, "1 to 256 letters, digits, '_', '.' and '-'")

    def _read(self) -> None:
        self.entry_script = optional("entry_script", self.entry_script, "a script's path")
        self.ecs_spec = optional("ecs_spec", self.ecs_spec, "an instance type")
        self.gpu_type = optional("gpu_type", self.gpu_type, "the name of a GPU")
        self.resource_id = optional("resource_id", self.resource_id, "the id of a quota")
        self.checkpoints = optional("checkpoints", self.checkpoints, "oss://bucket/prefix")
        self.model_name = optional("model_name", self.model_name, "a name")
        self.job_name = optional("job_name", self.job_name, "a name")
        self.resource_config = text_mapping("resource_config", self.resource_config)
        self.spot = mapping("spot", self.spot)
        self.vpc = mapping("vpc", self.vpc)
        self.settings = mapping("settings", self.settings)
        self.job = mapping("job", self.job)
        if self.priority is not None:
            self.priority = whole_number("priority", self.priority, least=1, most=9)

    def decisive(self) -> Json:
        """Return what decides what a training comes to, but for its inputs; neither when, where nor how dear it is."""
        return {
            **super().decisive(),
            "framework": self.framework,
            "nodes": replicas(self.framework, self.workers, self.roles),
            "size": [self.ecs_spec, self.resource_config, self.gpu_type, self.gpus],
            "model_name": self.model_name,
            "job": self.job,
        }

    @property
    def model_named(self) -> str | None:
        """Return the artifact's name, None where there is none."""
        return self.model_name or self.output_name if self.output_uri else None

    def script(self) -> str:
        """Return the command, made of `entry_script` where that is given."""
        if not self.entry_script:
            return self.command
        shell = "bash" if self.entry_script.endswith(".sh") else "python"
        return f'{shell} "$PAI_CODE_DIR"/{shlex.quote(self.entry_script)}'

    def build(self, context: Any, identity: TaskIdentity, generation: int) -> Json:
        """Return the CreateJob body."""
        self.check()
        self.look_first(context, identity)
        self.add_previous()
        version = identity.version(generation)
        output = self.version_folder(identity, generation)
        script = telling_its_environment(self.script()) if self.entry_script and output else self.script()
        files: dict[OssUri, Any] = {}
        self._parameters_at = self._folder_of(version) if is_long(self.parameters) else None
        if self._parameters_at:
            files[self._parameters_at.join(PARAMETERS)] = self.parameters
        folder = self._folder_of(version) if output or self.pin else None
        if self.inputs:
            self.datasets(folder)
        shared = share_checkpoints(self.oss, self.checkpoints, identity, generation)
        environment = {**self.environment(output), **shared.variables}
        if self.source:
            environment["PAI_CODE_DIR"] = f"{CODE_PATH}/{self.source.path}".rstrip("/")
        artifact = None
        if output:
            artifact = self.artifact(
                context,
                identity,
                output,
                name=self.model_named or "",
                version=version,
                framework=self.framework,
            )
            environment[ARTIFACT_VARIABLE] = str(self._folder_of(version).join(ARTIFACT))
        body: Json = {
            "DisplayName": self.job_name or re.sub(_NOT_IN_NAMES, "_", f"{identity.dag_id}.{identity.task_id}")[:200],
            "JobType": framework_named(self.framework).job_type,
            "JobSpecs": self._job_specs(script, identity.is_last_try),
            "UserCommand": script,
            "SuccessPolicy": self.success_policy,
            "Envs": environment,
            "DataSources": self._data_sources([*self.mounts(output), *shared.mounts]),
            "Settings": merged(self.settings or {}, {"Tags": self._tags(identity, generation)}),
            "UserVpc": user_vpc(self.vpc),
            "CodeSource": self._code_source(),
            "CredentialConfig": self._credential_config(),
            "ResourceId": self.resource_id,
            "Priority": self.priority,
            # Whole minutes; a limit that `job` gives is not ours to tell.
            TIME_LIMIT: None if TIME_LIMIT in (self.job or {}) else int(self.time_limit.seconds // 60),
        }
        body = merged({name: value for name, value in body.items() if value}, self.job or {})
        self.hook.check_body(body)
        self.pin_inputs(folder, version, output)
        if artifact:
            files[self._folder_of(version).join(ARTIFACT)] = unfinished(artifact, body)
        for at, content in files.items():
            write_file(self.oss, at, content)
        return body

    def environment(self, output: OssUri | None) -> dict[str, str]:
        """Return the environment variables; parameters that are too long for one lie in a file."""
        variables = super().environment(output)
        if self._parameters_at is None:
            return variables
        return {**variables, "PAI_PARAMS": "", "PAI_PARAMS_FILE": f"{JOB_PATH}/{PARAMETERS}"}

    def mounts(self, output: OssUri | None) -> list[Mount]:
        """Return the mounts, among them the folder of parameters that are too long for a variable."""
        own = [Mount(str(self._parameters_at), JOB_PATH, True)] if self._parameters_at else []
        return [*super().mounts(output), *own]

    def _folder_of(self, version: str) -> OssUri:
        return folder_of(self.oss, parse_uri("output", self.output_uri) if self.output_uri else None, version)

    def result(self, context: Any, identity: TaskIdentity, generation: int, job: RemoteJob) -> Json:
        """Return the artifact, or the job's facts."""
        from airflow_provider_pai.artifact import JobRef
        from airflow_provider_pai.manifests import read_unfinished, write_artifact
        from airflow_provider_pai.operators.workload.inputs import inputs_after

        url, described = self.hook.console_url(job.job_id), self.hook.describe(job.job_id)
        at = (described.get("Envs") or {}).get(ARTIFACT_VARIABLE)
        if at is None:
            facts = {"job_id": job.job_id, "url": url}
            self.record("run_finished", identity.task_id, identity, None, facts, key=f"run/{job.job_id}")
            return {**facts, "status": job.status}
        begun = read_unfinished(self.oss, at)
        inputs = inputs_after(self.oss, begun.artifact, OssUri.parse(at).parent)
        reference = JobRef(service="dlc", id=job.job_id, url=url)
        made = replace(begun.artifact, job=reference, inputs=inputs, usage=self.used, **job_facts(described))
        artifact = write_artifact(self.oss, made, begun.request)
        self.record_artifact(artifact)
        if not artifact.metrics:
            self.log.warning("No number in a metrics.json in PAI_OUTPUT_DIR: no gate lets this model through")
        return artifact.to_dict()

    def finish(self, context: Any, job: RemoteJob) -> Any:
        """Turn a job that has ended into the task's result; one that has succeeded needs its checkpoints no more."""
        result = super().finish(context, job)
        if self.checkpoints and not self.keep_checkpoints:
            delete_checkpoints(self.oss, self.checkpoints, self.identity(context))
        return result

    def told(self, result: Any) -> str:
        """Return in one line what came of it: an artifact, or the job alone."""
        made = isinstance(result, Mapping) and "uri" in result
        line = _REUSED if made and result.get("reused_from") else _ARTIFACT
        return self.in_words(line, result) if made else super().told(result)

    def _tags(self, identity: TaskIdentity, generation: int) -> dict[str, str]:
        """Return the job's own tags and those that `settings` and `job` give it."""
        own, over = identity.tags(generation), mapping("job['Settings']", (self.job or {}).get("Settings"))
        given = [mapping("Settings['Tags']", each.get("Tags")) for each in (self.settings or {}, over)]
        return {**checked_labels("Settings['Tags']", {**given[0], **given[1]}, own), **own}

    def _job_specs(self, script: str, last_try: bool) -> list[Json]:
        counts = replicas(self.framework, self.workers, self.roles)
        login = {"ImageConfig": self.image_login.dlc_config} if self.image_login else {}
        common = {"Image": self.image, **login, **self._size(), **spot_spec(self.spot, last_try)}
        return job_specs(self.framework, counts, script, common)

    def _size(self) -> Json:
        if not self.gpu_type:
            return {"EcsSpec": self.ecs_spec} if self.ecs_spec else {"ResourceConfig": dict(self.resource_config or {})}
        gpus = whole_number("gpus", self.gpus or 1, least=1)
        if self.resource_id:
            return {"ResourceConfig": {"GPU": str(gpus), "GPUType": self.gpu_type}}
        specs = self.hook.ecs_specs(accelerator_type="GPU", resource_type="ECS")
        return {"EcsSpec": spec_with_gpus(specs, self.gpu_type, gpus)}

    def _data_sources(self, mounts: Iterable[Mount]) -> list[Json]:
        return [
            {
                "Uri": self.oss.mount_uri(mount.uri),
                "MountPath": mount.path,
                "MountAccess": "RO" if mount.read_only else "RW",
                **({"RoleArn": self.role_arn} if self.role_arn else {}),
            }
            for mount in mounts
        ]

    def _code_source(self) -> Json | None:
        source = self.source
        if source is None or source.mount:
            return None
        from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook

        workspace = self.hook.sibling(AIWorkspaceHook)
        source_id = workspace.code_source(source.repo, source.branch, CODE_PATH, source.login)
        return {"CodeSourceId": source_id, "Commit": source.commit, "MountPath": CODE_PATH}

    def _credential_config(self) -> Json | None:
        if not self.role_arn:
            return None
        role = {"RoleArn": self.role_arn, "RoleType": "service"}
        return {
            "EnableCredentialInject": True,
            "AliyunEnvRoleKey": "0",
            "CredentialConfigItems": [{"Key": "0", "Type": "Role", "Roles": [role]}],
        }
