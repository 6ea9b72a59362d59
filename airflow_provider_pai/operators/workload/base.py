"""Base of DLC jobs and DSW runs: data from OSS and to OSS, code, parameters, an image and a role."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow_provider_pai.exceptions import PaiBudgetError, PaiConfigError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import Span, flag, mapping, one_of, optional, parse_uri, required, role, seconds, text
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.operators.environment import check_environment
from airflow_provider_pai.operators.jobs import JobHookT, PaiJobOperator
from airflow_provider_pai.operators.meant import ON_CHANGED_INPUTS, MeantData
from airflow_provider_pai.operators.workload.code import GitCode, OssCode, Source, check_code, find_code
from airflow_provider_pai.operators.workload.limits import TimeLimit
from airflow_provider_pai.remote import CODE_COMMIT
from airflow_provider_pai.sensitive import secrets_in
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import DatasetRef, ModelArtifact
    from airflow_provider_pai.hooks.registry import ImageDigest, RegistryLogin

MOUNT_ROOT = "/mnt/pai"
OUTPUT_PATH = f"{MOUNT_ROOT}/output"
CODE_PATH = f"{MOUNT_ROOT}/code"

# The unfinished artifact's address travels with the job, so that whoever finishes it needs nothing but the job.
ARTIFACT_VARIABLE = "PAI_ARTIFACT"


class Mount(NamedTuple):
    """A prefix on OSS and where the workload sees it."""

    uri: str
    path: str
    read_only: bool


class WorkloadOperator(PaiJobOperator[JobHookT]):
    """Base of the operators that run a command over data on OSS.

    The command finds its surroundings in environment variables: `PAI_INPUT_<NAME>_DIR` for each input,
    `PAI_OUTPUT_DIR`, `PAI_CODE_DIR`, `PAI_CODE_COMMIT` and `PAI_PARAMS` (JSON).

    :param image: image that the command runs in. (templated)
    :param image_conn_id: Airflow connection, one of type `docker` say, with login and password of the image's private
        registry; they reach the service alone. (templated)
    :param command: shell command. (templated)
    :param inputs: name to `oss://bucket/prefix`, or to the dataset or model that another task returned; mounted
        read-only; each must hold an object. (templated)
    :param inputs_changed: what becomes of an input that is not what the task before returned any more: `refuse` makes
        nothing, `warn` says so and goes on. (templated)
    :param pin: copy the inputs within OSS to a folder that bears their digest, once for all who train on the same, and
        mount that. (templated)
    :param output: `oss://bucket/prefix`; each generation writes into a version folder of its own below it. (templated)
    :param code: `GitCode`, checked out before the command runs, or `OssCode`, mounted read-only. (templated)
    :param parameters: handed over as JSON and kept in the artifact. (templated)
    :param env: further environment variables; no place for secrets, which belong behind `role_arn`. (templated)
    :param role_arn: RAM role through which OSS is mounted and the job gets credentials. (templated)
    :param max_running_time: after this the service itself ends the job or the instance: `12h`, a timedelta or seconds,
        of which DLC counts whole minutes. By default `execution_timeout` and 10 minutes, else the connection's
        `max_running_time`, else 7 days.
    :param budget: what the DAG may spend before nothing more is made: `{"per_run": "12h", "per_day": "400 CNY"}`, in
        instance hours or in money; `"over": "skip"` skips the task then, else it fails. (templated)
    """

    template_fields: Sequence[str] = (
        "image",
        "image_conn_id",
        "command",
        "inputs",
        "inputs_changed",
        "pin",
        "output_uri",
        "code",
        "parameters",
        "env",
        "role_arn",
        "budget",
    )
    template_fields_renderers = dict.fromkeys(("inputs", "code", "parameters", "env", "budget"), "json")

    needs_command: ClassVar[bool] = True
    # Environment variables that the service itself sets.
    reserved_environment: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        *,
        image: str,
        image_conn_id: str | None = None,
        command: str = "",
        inputs: Mapping[str, Any] | None = None,
        inputs_changed: str = "refuse",
        pin: bool | str = False,
        output: str | None = None,
        code: GitCode | OssCode | None = None,
        parameters: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        role_arn: str | None = None,
        max_running_time: Span | None = None,
        budget: Mapping[str, str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image = image
        self.image_conn_id = image_conn_id
        self.command = command
        self.inputs = inputs
        self.inputs_changed = inputs_changed
        self.pin = pin
        self.output_uri = output
        self.code = code
        self.parameters = parameters
        self.env = env
        self.role_arn = role_arn
        # A minute is what DLC counts in.
        limit = max_running_time
        self.max_running_time = None if limit is None else seconds("max_running_time", limit, least=60)
        self.budget = budget
        self._datasets: tuple[DatasetRef, ...] = ()

    def check(self) -> None:
        """Refuse bad input that needs no look at a service.

        :raises PaiConfigError: naming field, value and what is allowed.
        """
        self.image = required("image", self.image, "a container image")
        self.image_conn_id = optional("image_conn_id", self.image_conn_id, "the id of an Airflow connection")
        self.command = text("command", "" if self.command is None else self.command, "a shell command")
        if self.needs_command:
            required("command", self.script(), "a shell command")
        self.role_arn = role("role_arn", self.role_arn)
        self.parameters = mapping("parameters", self.parameters)
        self.inputs = mapping("inputs", self.inputs, "names to addresses, as {'data': 'oss://bucket/prefix/'}")
        self.inputs_changed = one_of("inputs_changed", self.inputs_changed, ON_CHANGED_INPUTS)
        self.pin = flag("pin", self.pin)
        if self.pin and not (self.output_uri or self.hook.connection.state_uri):
            raise PaiConfigError("pin", True, "with output, or a state_uri of the connection: the copies lie there")
        for name in self.data():
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
                raise PaiConfigError("inputs", name, "names are a letter, then letters, digits and _")
        if self.output_uri is not None:
            parse_uri("output", self.output_uri)
        if self.code is not None:
            self.code = check_code(self.code)
        self.env = check_environment(self.env, self.reserved_environment)
        if secrets := [name for name, _ in secrets_in(self.env)]:
            self.log.warning(
                "env: %s look like secrets; everybody who may read the job reads them. Use role_arn for credentials",
                ", ".join(secrets),
            )

    def data(self) -> dict[str, MeantData]:
        """Return what each input means.

        :raises PaiConfigError: one is no data.
        """
        return {name: MeantData.of(given, f"inputs[{name!r}]") for name, given in (self.inputs or {}).items()}

    @property
    def rows_beside(self) -> str | None:
        """Return the output."""
        return self.output_uri

    def script(self) -> str:
        """Return the command as a shell gets it."""
        return self.command

    @cached_property
    def time_limit(self) -> TimeLimit:
        """Return after what time the service itself ends the work, and say so once."""
        limit = TimeLimit.of(self.max_running_time, self.execution_timeout, self.hook.connection.max_running_time)
        self.log.info("The service itself ends it after %s", limit)
        return limit

    def look_first(self, context: Any, identity: TaskIdentity) -> None:
        """Refuse what only a look at others tells, before anything is made."""
        self.heed_budget(context, identity)

    def heed_budget(self, context: Any, identity: TaskIdentity) -> None:
        """Make nothing once the DAG has spent what it may; what is submitted at the same moment may pass together.

        :raises PaiBudgetError: it has.
        :raises LedgerError: what it has spent can't be read.
        """
        if self.budget is None:
            return
        from airflow_provider_pai.operators.workload.budget import SKIP, Budget, Day, ask, used

        now, prices = self.hook.service_clock.utc(), self.hook.connection.prices
        budget, day = Budget.read(self.budget, prices), Day.at(now, context["dag"].timezone)
        found = used(self.ledger.used(identity.dag_id, self.rows_beside), self.hook, identity)
        for asked in ask(budget, found, identity.run_id, day, now, prices):
            if asked.unpriced:
                text = "Budget: no price is known of %s: what it costs is not counted"
                self.log.warning(text, ", ".join(asked.unpriced))
            if not asked.is_over:
                self.log.info("Budget: %s", asked)
                continue
            facts = {"spent": asked.spent, "limit": str(asked.limit), "over": budget.over}
            self.record("over_budget", identity.dag_id, identity, None, facts, beside=self.rows_beside)
            if budget.over == SKIP:
                self.skip(f"the budget is used up: {asked}")
            raise PaiBudgetError(f"nothing was made, the budget is used up: {asked}")

    @cached_property
    def source(self) -> Source | None:
        """Return where the code comes from, looked up once.

        :raises PaiConfigError: it is not there.
        """
        return find_code(self.code, self.oss) if self.code else None

    @cached_property
    def found_image(self) -> ImageDigest:
        """Return what the image's registry tells of it, asked once."""
        from airflow_provider_pai.hooks.registry import image_digest

        return image_digest(self.image, self.hook.connection, self.image_login)

    @cached_property
    def image_login(self) -> RegistryLogin | None:
        """Return the login of the image's private registry, which stands in no field of the task.

        :raises PaiConfigError: the connection has none for this registry.
        """
        from airflow_provider_pai.hooks.registry import RegistryLogin

        return RegistryLogin.of(self.image_conn_id, self.image) if self.image_conn_id else None

    def datasets(self, folder: OssUri | None = None) -> tuple[DatasetRef, ...]:
        """Return what each input holds at this moment, and where it will be pinned if it is to be.

        :param folder: where the lists of their objects are kept; None: nowhere.
        :raises PaiNotFoundError: an input without objects.
        :raises PaiArtifactError: one is not what the task before returned any more, and that is refused.
        """
        from airflow_provider_pai.operators.workload.inputs import described_inputs, to_be_pinned

        refuses = self.inputs_changed == "refuse"
        self._datasets = described_inputs(self.oss, self.data(), folder, refuses=refuses)
        if self.pin:
            output = parse_uri("output", self.output_uri) if self.output_uri else None
            self._datasets = to_be_pinned(self.oss, self._datasets, output)
        return self._datasets

    def pin_inputs(self, folder: OssUri | None, version: str, output: OssUri | None) -> None:
        """Copy what is to be pinned, the last before the submit.

        :param folder: of the lists.
        :raises PaiTransferError: an input was changed since it was listed.
        """
        from airflow_provider_pai.operators.workload.inputs import pin_inputs

        if self.pin and folder:
            pin_inputs(self.oss, self._datasets, folder, version=version, artifact=output)

    @property
    def output_name(self) -> str:
        """Return the name of what is made: the last part of the output's address."""
        parent = parse_uri("output", self.output_uri)
        return parent.key.rstrip("/").split("/")[-1] or parent.bucket

    def version_folder(self, identity: TaskIdentity, generation: int) -> OssUri | None:
        """Return the version folder of a generation.

        :raises PaiNotFoundError: the bucket does not exist.
        """
        if self.output_uri is None:
            return None
        parent = parse_uri("output", self.output_uri)
        self.oss.need_bucket("output", parent)
        return parent.join(identity.version(generation)).folder

    def mounts(self, output: OssUri | None) -> list[Mount]:
        """Return inputs and output with their mount paths."""
        pinned = {ref.name: ref.pinned for ref in self._datasets}
        mounts = [
            Mount(pinned.get(name) or str(data.uri), input_path(name), True) for name, data in self.data().items()
        ]
        if self.source and self.source.mount:
            mounts.append(Mount(str(self.source.mount), CODE_PATH, True))
        return mounts + ([Mount(str(output), OUTPUT_PATH, False)] if output else [])

    def environment(self, output: OssUri | None) -> dict[str, str]:
        """Return the environment variables of the command."""
        ours = {f"PAI_INPUT_{name.upper()}_DIR": input_path(name) for name in self.inputs or {}}
        if output:
            ours["PAI_OUTPUT_DIR"] = OUTPUT_PATH
        if self.source:
            ours[CODE_COMMIT] = self.source.commit
        ours["PAI_PARAMS"] = json.dumps(self.parameters or {})
        return {**ours, **(self.env or {})}

    def artifact(
        self, context: Any, identity: TaskIdentity, output: OssUri, *, name: str, version: str, **facts: Any
    ) -> ModelArtifact:
        """Return the artifact as far as it is known at the submit."""
        from airflow_provider_pai.manifests import unfinished_artifact

        found = self.found_image
        return unfinished_artifact(
            context,
            identity,
            name=name,
            version=version,
            uri=str(output),
            params=dict(self.parameters or {}),
            code=self.source.record(self.script()) if self.source else None,
            image=self.image,
            image_digest=found.digest,
            image_note=found.note,
            inputs=self._datasets,
            **facts,
        )


def input_path(name: str) -> str:
    """Return where an input is mounted."""
    return f"{MOUNT_ROOT}/input/{name}"
