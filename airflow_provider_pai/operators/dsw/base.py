"""Base of the operators that make an instance: its body, its mounts, its on-start script, its time limit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow_provider_pai import image_tools
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import json_list, mapping, merged, moment, optional, parse_uri, text_mapping
from airflow_provider_pai.labels import checked_labels
from airflow_provider_pai.links import DswInstanceLink, DswJupyterLabLink
from airflow_provider_pai.operators.deferring import REAPER, Settled
from airflow_provider_pai.operators.run_script import run_script
from airflow_provider_pai.operators.workload.base import CODE_PATH, MOUNT_ROOT, Mount, WorkloadOperator
from airflow_provider_pai.remote import (
    CODE_DIR,
    CODE_NAME,
    DEFAULT_LOG_INTERVAL,
    OUTPUT_URI,
    RUN_DIR,
    RUN_URI,
    SCRIPT_NAME,
    TIME_LIMIT,
    Json,
)
from airflow_provider_pai.states import DSW_INSTANCE
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw import DswHook
    from airflow_provider_pai.operators.workload.code import Source

DswHookT = TypeVar("DswHookT", bound="DswHook")

RUN_PATH = f"{MOUNT_ROOT}/run"

# Started in the background, by a few characters: whether DSW waits for an on-start command and how long it may be is
# nowhere said, and DataWorks, whose CreateServerIdeInstance has one, takes 1024 characters.
_START = f"nohup bash {RUN_PATH}/{SCRIPT_NAME} < /dev/null > /dev/null 2>&1 &"

# SDK: CreateInstanceRequest.instance_name.
_NAME = re.compile(r"[A-Za-z0-9_]{1,27}")


class DswMakingOperator(WorkloadOperator[DswHookT]):
    """Base of the operators that make an instance.

    API: CreateInstance, CreateInstanceShutdownTimer.

    :param run_uri: `oss://bucket/prefix` for logs and results of runs; by default `_runs` beside `output`. (templated)
    :param ecs_spec: instance type of the public pool. (templated)
    :param resource_config: with `resource_id`: CPU, GPU, GPUType, Memory, SharedMemory as texts. (templated)
    :param resource_id: quota to run in. (templated)
    :param instance_config: merged over the CreateInstance body, in the API's field names; its Labels and Datasets
        stand beside the task's own. (templated)
    """

    runs_once: ClassVar[bool] = True
    """An instance that is started again by hand does not do again what it does at its start."""
    link = DswInstanceLink
    operator_extra_links = (DswInstanceLink(), DswJupyterLabLink())
    ui_color = "#d6eaff"
    template_fields: Sequence[str] = ("run_uri", "ecs_spec", "resource_config", "resource_id", "instance_config")

    def __init__(
        self,
        *,
        run_uri: str | None = None,
        ecs_spec: str | None = None,
        resource_config: Mapping[str, str] | None = None,
        resource_id: str | None = None,
        instance_config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_uri = run_uri
        self.ecs_spec = ecs_spec
        self.resource_config = resource_config
        self.resource_id = resource_id
        self.instance_config = instance_config

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
        self.instance_config = mapping("instance_config", self.instance_config)
        if self.has_script and not self.run_uri and not self.output_uri:
            raise PaiConfigError(
                "run_uri", self.run_uri, "an oss:// prefix, since there is no output beside which to put it"
            )
        if self.run_uri:
            parse_uri("run_uri", self.run_uri)
        self.check_place()

    def check_place(self) -> None:
        """Refuse what names no place to run."""
        if bool(self.ecs_spec) == bool(self.resource_id):
            both = {"ecs_spec": self.ecs_spec, "resource_id": self.resource_id}
            raise PaiConfigError("ecs_spec, resource_id", both, "exactly one of the two")

    def tags(self, identity: TaskIdentity, generation: int) -> Mapping[str, str]:
        """Return the task's own labels."""
        return identity.tags(generation)

    @property
    def has_script(self) -> bool:
        """Tell whether the instance does something at its start, for which it has a run's folder on OSS."""
        return bool(self.script() or self.code)

    @property
    def tools(self) -> Sequence[str]:
        """Return the files of `image_tools` that the script runs."""
        return ()

    def on_start(self) -> str:
        """Return the script that the instance runs at each start, for bash."""
        return run_script(
            folder=f"${RUN_DIR}",
            command=self.script(),
            source=self.source,
            code_path=f'"${CODE_DIR}"',
            every=self.log_interval or DEFAULT_LOG_INTERVAL,
            once=self.runs_once,
        )

    def build(self, context: Any, identity: TaskIdentity, generation: int) -> Json:
        """Return the CreateInstance body."""
        self.check()
        self.look_first(context, identity)
        output = self.version_folder(identity, generation)
        run = self._run_folder(identity, generation)
        if self.inputs:
            self.datasets(run)
        body = self.body(identity, generation, output, run)
        if run:
            self._fill(run)
            self.pin_inputs(run, identity.version(generation), output)
        if output:
            self.oss.put(output, b"")  # a prefix that no object has may not be mountable
        return {name: value for name, value in body.items() if value}

    def body(self, identity: TaskIdentity, generation: int, output: OssUri | None, run: OssUri | None) -> Json:
        """Return what is submitted, empty fields among it."""
        body = merged(self._body(identity.key(generation), output, run), self.instance_config or {})
        body["Labels"] = _labels(body.get("Labels") or [], self.tags(identity, generation))
        body["Datasets"] = self._datasets_of(output, run)
        if not _NAME.fullmatch(str(body["InstanceName"])):
            allowed = "1 to 27 letters, digits and _, as DSW wants it"
            raise PaiConfigError("instance_config['InstanceName']", body["InstanceName"], allowed)
        return body

    def begin(self, context: Any) -> str | Settled:
        """Find or start the instance, and let the service itself stop it in time; return its id."""
        begun = super().begin(context)
        if isinstance(begun, str):
            self.limit(begun)
        return begun

    def keep_lab(self, context: Any, instance_id: str) -> None:
        """Keep the address of JupyterLab for its link; an instance has one as long as it runs."""
        with suppress(PaiApiError):
            if url := self.hook.describe(instance_id).get("JupyterlabUrl"):
                DswJupyterLabLink.persist(context, url)

    def _body(self, key: str, output: OssUri | None, run: OssUri | None) -> Json:
        return {
            "InstanceName": f"airflow_{key}",
            "EcsSpec": self.ecs_spec,
            "ResourceId": self.resource_id,
            "RequestedResource": dict(self.resource_config or {}),
            "ImageUrl" if "/" in self.image else "ImageId": self.image,
            "ImageAuth": self.image_login.dsw_auth if self.image_login else None,
            "EnvironmentVariables": self.variables(output, run),
            "UserCommand": {"OnStart": {"Content": _START}} if self.has_script else None,
            "CredentialConfig": self._credential_config(),
            "Accessibility": "PRIVATE",
        }

    def variables(self, output: OssUri | None, run: OssUri | None) -> dict[str, str]:
        """Return the environment variables of what runs; where something is mounted, the path of the mount."""
        told = {
            OUTPUT_URI: output,
            RUN_URI: run,
            RUN_DIR: run and RUN_PATH,
            CODE_DIR: self.source and self.source.mount and CODE_PATH,
            TIME_LIMIT: f"{self.time_limit.seconds:.0f}",
        }
        return {**self.environment(output), **{name: str(value) for name, value in told.items() if value}}

    def all_mounts(self, output: OssUri | None, run: OssUri | None) -> list[Mount]:
        """Return the task's own mounts, that of its run's folder among them."""
        return [*self.mounts(output), *([Mount(str(run), RUN_PATH, False)] if run else [])]

    def _datasets_of(self, output: OssUri | None, run: OssUri | None) -> list[Json]:
        """Return the task's own mounts and those of `instance`.

        :raises PaiConfigError: two are at one path, or one is in another.
        """
        field, allowed = "instance_config['Datasets']", "a list of objects with Uri and MountPath"
        given = [
            mapping(field, each, allowed)
            for each in json_list(field, (self.instance_config or {}).get("Datasets") or [], allowed)
        ]
        own = [_dataset(self.oss.mount_uri(mount.uri), mount) for mount in self.all_mounts(output, run)]
        datasets = [*own, *given]
        _check_paths([str(each.get("MountPath") or "") for each in datasets])
        return datasets

    def _fill(self, run: OssUri) -> None:
        """Put what the instance needs at its start into the run's folder."""
        self.oss.put(run, b"")
        if self.source and self.source.login:
            self._bring_code(self.source, run)
        for name in self.tools:
            self.oss.put(run.join(name), (files(image_tools) / name).read_bytes())
        if self.has_script:
            self.oss.put(run.join(SCRIPT_NAME), self.on_start())

    def limit(self, instance_id: str) -> None:
        """Let the service stop the instance; it counts from its making, so that each try asks for the same time."""
        try:
            job = self.hook.get(instance_id)
            if job.status in DSW_INSTANCE.succeeded or not self.hook.states.is_final(job.status):
                begun = moment("GmtCreateTime", job.created) if job.created else self.hook.service_clock.utc()
                self.hook.stop_at(instance_id, begun + timedelta(seconds=self.time_limit.seconds))
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

    def _run_folder(self, identity: TaskIdentity, generation: int) -> OssUri | None:
        if not self.has_script:
            return None
        parent = OssUri.parse(self.run_uri) if self.run_uri else OssUri.parse(self.output_uri).join("_runs")
        return parent.join(identity.version(generation)).folder

    def _credential_config(self) -> Json | None:
        if not self.role_arn:
            return None
        role = {"RoleArn": self.role_arn, "RoleType": "service"}
        return {
            "Enable": True,
            "AliyunEnvRoleKey": "0",
            "Configs": [{"Key": "0", "Type": "Role", "Roles": [role]}],
        }


def _labels(given: Any, own: Mapping[str, str]) -> list[Json]:
    """Return the labels that `instance` gives, and the run's own."""
    field, allowed = "instance_config['Labels']", "a list of objects with Key and Value"
    pairs = [mapping(field, label, allowed) for label in json_list(field, given, allowed)]
    labels = checked_labels(field, {str(pair.get("Key") or ""): pair.get("Value") for pair in pairs}, own)
    return [{"Key": key, "Value": value} for key, value in {**labels, **own}.items()]


def _check_paths(paths: Sequence[str]) -> None:
    """Refuse mount paths of which one is another, or lies in it.

    :raises PaiConfigError: naming both.
    """
    for index, path in enumerate(paths):
        for other in paths[:index]:
            one, two = PurePosixPath(path), PurePosixPath(other)
            if one == two or one in two.parents or two in one.parents:
                raise PaiConfigError("MountPath", path, f"a folder apart from {other}, where something is mounted, too")


def _dataset(uri: str, mount: Mount) -> Json:
    return {"Uri": uri, "MountPath": mount.path, "MountAccess": "RO" if mount.read_only else "RW"}
