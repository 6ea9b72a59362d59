"""Frameworks of DLC jobs as data: one row each, with job type and roles; a new framework is a new row.

API: CreateJobRequest.job_type and JobSpec.type of alibabacloud_pai_dlc20201203. It has no job type without a framework;
where none is named, PAI's own command line makes a PyTorchJob of one Worker ("PAI DLC job — Distributed training").
"""

from collections.abc import Mapping
from string import Template
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import known, mapping, one_of, whole_number
from airflow_provider_pai.remote import Json

# What DLC sets in pods itself ("General environment variables"), and what the mxnet row sets.
RESERVED_ENVIRONMENT = frozenset(
    "MASTER_ADDR MASTER_PORT WORLD_SIZE RANK NPROC_PER_NODE TF_CONFIG DMLC_ROLE DMLC_PS_ROOT_URI DMLC_PS_ROOT_PORT "
    "DMLC_NUM_SERVER DMLC_NUM_WORKER DMLC_USE_KUBERNETES".split()
)

# The API has no MXNet job type. Its TFJob has the same three kinds of node and tells each where all others are, so
# that the Chief is MXNet's scheduler. DMLC_USE_KUBERNETES lets the scheduler listen although its name is a service's.
_DMLC = Template("""\
export DMLC_ROLE=$dmlc_role DMLC_NUM_SERVER=$servers DMLC_NUM_WORKER=$workers DMLC_USE_KUBERNETES=1
DMLC_PS_ROOT_URI=$$(printf %s "$$TF_CONFIG" | tr -d '[:space:]' | sed 's/.*"chief":\\["\\([^"]*\\)".*/\\1/')
export DMLC_PS_ROOT_PORT=$${DMLC_PS_ROOT_URI##*:} DMLC_PS_ROOT_URI=$${DMLC_PS_ROOT_URI%:*}
""")


class Role(NamedTuple):
    """One kind of node: its JobSpec.Type, and whether there is at most one."""

    type: str
    single: bool = False
    dmlc_role: str | None = None


class Framework(NamedTuple):
    """A JobType, its roles, which of them are there even if nobody names them, and its success policies."""

    job_type: str
    roles: Mapping[str, Role]
    implied: Mapping[str, int] = MappingProxyType({})
    success_policies: tuple[str, ...] = ()


_WORKER = Role("Worker")
# Without a Master the first Worker is the master.
_MASTER_WORKER = {"Master": Role("Master", single=True), "Worker": _WORKER}

FRAMEWORKS: Mapping[str, Framework] = {
    "tensorflow": Framework(
        "TFJob",
        {"Chief": Role("Chief", single=True), "PS": Role("PS"), "Worker": _WORKER, "Evaluator": Role("Evaluator")},
        success_policies=("AllWorkers", "ChiefWorker"),
    ),
    "pytorch": Framework("PyTorchJob", _MASTER_WORKER),
    "xgboost": Framework("XGBoostJob", _MASTER_WORKER),
    "mpi": Framework("MPIJob", _MASTER_WORKER),
    "ray": Framework("RayJob", {"Head": Role("Head", single=True), "Worker": _WORKER}, implied={"Head": 1}),
    "elastic_batch": Framework("ElasticBatchJob", _MASTER_WORKER),
    "mxnet": Framework(
        "TFJob",
        {
            "Scheduler": Role("Chief", single=True, dmlc_role="scheduler"),
            "Server": Role("PS", dmlc_role="server"),
            "Worker": Role("Worker", dmlc_role="worker"),
        },
        implied={"Scheduler": 1, "Server": 1, "Worker": 1},
    ),
    "python": Framework("PyTorchJob", {"Worker": Role("Worker", single=True)}),
}


def framework_named(name: str) -> Framework:
    """Return a row of the table.

    :raises PaiConfigError: there is none of that name.
    """
    return FRAMEWORKS[one_of("framework", name, FRAMEWORKS)]


def replicas(name: str, workers: Any, roles: Mapping[str, Any] | str | None) -> dict[str, int]:
    """Return how many nodes each role has: `roles`, or the short form `workers`.

    :raises PaiConfigError: both given, a role that the framework has not, or a count that is none.
    """
    framework, named = framework_named(name), mapping("roles", roles)
    if workers is not None and named:
        raise PaiConfigError("workers, roles", {"workers": workers, "roles": named}, "at most one of the two")
    if not named:
        counts = {"Worker": whole_number("workers", 1 if workers is None else workers, least=1)}
    else:
        known("roles", named, framework.roles, f"{name} has")
        counts = {role: whole_number(f"roles[{role!r}]", count, least=1) for role, count in named.items()}
    for role, count in counts.items():
        if framework.roles[role].single and count != 1:
            field = f"roles[{role!r}]" if named else "workers"
            raise PaiConfigError(field, count, f"{name} has exactly one {role}")
    counts = {**framework.implied, **counts}
    return {role: counts[role] for role in framework.roles if role in counts}


def job_specs(name: str, counts: Mapping[str, int], command: str, common: Mapping[str, Any]) -> list[Json]:
    """Return the JobSpecs: what is common to all roles, and each role's own."""
    specs = []
    for role_name, count in counts.items():
        role = framework_named(name).roles[role_name]
        own: Json = {"Type": role.type, "PodCount": count}
        if role.type == "Chief":
            own["IsChief"] = True
        if role.dmlc_role:
            dmlc = _DMLC.substitute(dmlc_role=role.dmlc_role, servers=counts["Server"], workers=counts["Worker"])
            own["UserCommand"] = dmlc + command
        specs.append({**own, **common})
    return specs


def check_success_policy(name: str, policy: str | None) -> None:
    """Refuse a success policy that the framework has not.

    :raises PaiConfigError: naming those that it has.
    """
    allowed = framework_named(name).success_policies
    if policy is None:
        return
    if not allowed:
        having = ", ".join(key for key, row in FRAMEWORKS.items() if row.success_policies)
        raise PaiConfigError("success_policy", policy, f"only {having} has one")
    one_of("success_policy", policy, allowed)
