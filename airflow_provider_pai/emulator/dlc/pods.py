"""Pods of a job: their roles, ids, environments, and those that decide the job's result."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_pai.emulator.ecs import gpus_of
from airflow_provider_pai.emulator.types import Json

HOST = "127.0.0.1"

# Where an MPIJob's launcher finds its hosts and the way to them, as in Kubeflow's and KubeDL's MPIJob v1; what DLC's
# own are called is UNCONFIRMED. Open MPI reads them from the variables: up to 4 ORTE's, from 5 on PRRTE's.
MPI = "/etc/mpi"
_MPI = {
    **dict.fromkeys(("OMPI_MCA_orte_default_hostfile", "PRTE_MCA_prte_default_hostfile"), f"{MPI}/hostfile"),
    **dict.fromkeys(("OMPI_MCA_plm_rsh_agent", "PRTE_MCA_plm_ssh_agent"), f"{MPI}/kubexec.sh"),
}

# Pods share a machine here: Open MPI's daemons would meet in one folder for their sockets.
_KUBEXEC = """#!/bin/sh
cd "{roots}/${{1#{job_id}-}}" && export HOSTNAME="$1" TMPDIR="$(mktemp -d)" && shift || exit
sh -c "$*"
code=$?
rm -rf "$TMPDIR"
exit $code
"""

# The role that leads a job. Where such jobs may go without it, the first Worker is made their Master.
LEADERS = {"TFJob": ("Chief",), "RayJob": ("Head",), "DataJuicerJob": ("Head", "Master")}
_DEFAULT_LEADERS = ("Launcher", "Master")
_PROMOTED = ("PyTorchJob", "XGBoostJob", "OneFlowJob", "ElasticBatchJob", "MPIJob", "SlurmJob")

# Commands of jobs whose leader starts the work on the other pods; those only lend their place.
_IDLE = "sleep infinity"

# Ray, where it is installed: the head runs the job's command beside a cluster that the other pods join. Whether DLC
# itself starts Ray before the command is UNCONFIRMED; a command that does so, too, finds the port taken.
_RAY_START = "ray start --block --disable-usage-stats --object-store-memory=200000000 --node-ip-address=$MASTER_ADDR"
_RAY_HEAD = f"""if command -v ray >/dev/null; then
{_RAY_START} --head --port=$MASTER_PORT --include-dashboard=false >/dev/null 2>&1 &
head=$!
export RAY_ADDRESS=$MASTER_ADDR:$MASTER_PORT
while kill -0 $head && ! ray health-check --address $RAY_ADDRESS >/dev/null 2>&1; do sleep 0.2; done
fi
(
%s
)
code=$?
if test -n "$head"; then kill $head; wait $head; fi
exit $code"""
_RAY_JOIN = f"""command -v ray >/dev/null || exec {_IDLE}
until {_RAY_START} --address=$MASTER_ADDR:$MASTER_PORT; do sleep 0.2; done"""
_FOLLOWERS = {"MPIJob": _IDLE, "RayJob": _RAY_JOIN}


@dataclass(frozen=True)
class Pod:
    """One replica of a role."""

    role: str
    index: int
    rank: int
    command: str
    restart_policy: str
    gpus: int

    @property
    def finishes(self) -> bool:
        """Tell whether the pod can be expected to end by itself once the job's work is done."""
        return self.role in ("Master", "Worker") and self.command not in _FOLLOWERS.values()

    @property
    def suffix(self) -> str:
        """Return the end of the pod's id, e.g. `worker-0`."""
        return f"{self.role.lower()}-{self.index}"

    def new_document(self, job_id: str, created: str) -> Json:
        """Return the pod as GetJob shows it before it has started."""
        return {
            "PodId": f"{job_id}-{self.suffix}",
            "PodUid": new_uid(),
            "Type": self.role,
            "Status": "Pending",
            "SubStatus": "Normal",
            "GmtCreateTime": created,
            "GmtStartTime": None,
            "GmtFinishTime": None,
            "Ip": HOST,
            "NodeName": "emulator",
            "HistoryPods": [],
        }


def new_uid() -> str:
    """Return the id of one life of a pod."""
    return secrets.token_hex(16)


def plan(request: Json) -> list[Pod]:
    """List the pods of a job in the order of their ranks, the leader first."""
    job_type, specs = request["JobType"], request["JobSpecs"]
    leaders = LEADERS.get(job_type, _DEFAULT_LEADERS)
    roles = [(spec["Type"], spec) for spec in specs for _ in range(spec["PodCount"])]
    roles.sort(key=lambda role: role[0] not in leaders)
    if job_type in _PROMOTED and roles[0][0] not in leaders:
        roles[0] = ("Master", roles[0][1])
    counts: dict[str, int] = {}
    pods = []
    for rank, (role, spec) in enumerate(roles):
        index = counts.get(role, 0)
        counts[role] = index + 1
        command = spec.get("UserCommand") or request["UserCommand"]
        if rank and job_type in _FOLLOWERS:
            command = _FOLLOWERS[job_type]
        elif job_type == "RayJob":
            command = _RAY_HEAD % command
        pods.append(Pod(role, index, rank, command, spec.get("RestartPolicy") or "Never", gpus_of(spec)))
    return pods


def deciding(request: Json, pods: Sequence[Pod]) -> list[Pod]:
    """Return the pods that must all succeed for the job to succeed; the others are then stopped.

    TFJob follows its SuccessPolicy. For the rest nothing is published; it is as in KubeDL, the operator that
    DLC grew from: the leader decides, and without one all pods.
    """
    chief = [pod for pod in pods if pod.role == "Chief"]
    workers = [pod for pod in pods if pod.role == "Worker"]
    if request["JobType"] == "TFJob":
        if request.get("SuccessPolicy") == "ChiefWorker":
            return chief or workers[:1] or list(pods)
        return chief + workers or list(pods)
    leaders = LEADERS.get(request["JobType"], _DEFAULT_LEADERS)
    return [pod for pod in pods if pod.role in leaders] or list(pods)


def environment(request: Json, pods: Sequence[Pod], pod: Pod, ports: Sequence[int]) -> dict[str, str]:
    """Return what DLC puts into a pod's environment ("General environment variables"), and what the job adds.

    :param ports: a free local port for each pod, in the order of `pods`; the first is MASTER_PORT.
    """
    own = dict(request.get("Envs") or {})
    own.update({item["Key"]: item.get("Value") or "" for item in request.get("CustomEnvs") or []})
    if request["JobType"] == "TFJob":
        return {**own, "TF_CONFIG": _tf_config(pods, pod, ports)}
    return {
        **own,
        **(_MPI if request["JobType"] == "MPIJob" and pod.rank == 0 else {}),
        "MASTER_ADDR": HOST,
        "MASTER_PORT": str(ports[0]),
        # Nodes, not processes: torchrun multiplies by NPROC_PER_NODE.
        "WORLD_SIZE": str(len(pods)),
        "RANK": str(pod.rank),
        "NPROC_PER_NODE": str(max(pod.gpus, 1)),
    }


def mpi_files(job_id: str, pods: Sequence[Pod], roots: Path) -> dict[str, str]:
    """Return the files below `MPI`: the pods that processes may run on, and a command that runs another in one.

    :param roots: folder of the pods' folders.
    """
    hosts = [f"{job_id}-{pod.suffix} slots={max(pod.gpus, 1)}\n" for pod in pods if pod.role != "Launcher"]
    script = _KUBEXEC.format(roots=roots, job_id=job_id)
    return {"hostfile": "".join(hosts), "kubexec.sh": script}


def _tf_config(pods: Sequence[Pod], pod: Pod, ports: Sequence[int]) -> str:
    cluster: dict[str, list[str]] = {}
    for other, port in zip(pods, ports, strict=True):
        # As TensorFlow wants it: an evaluator has a task and is no part of the cluster.
        if other.role != "Evaluator":
            cluster.setdefault(other.role.lower(), []).append(f"{HOST}:{port}")
    task = {"type": pod.role.lower(), "index": pod.index}
    return json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})


def is_retryable(pod: Pod, code: int) -> bool:
    """Tell whether a pod that ended so is started again; ExitCode: ended by a signal, as in Kubeflow."""
    if pod.restart_policy == "ExitCode":
        return code > 127
    return pod.restart_policy in ("Always", "OnFailure") and code != 0
