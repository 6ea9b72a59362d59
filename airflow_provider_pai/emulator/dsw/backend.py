"""Instances of DSW: state and rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.aiworkspace.backend import AIWorkspaceBackend
from airflow_provider_pai.emulator.dsw.instance import KIND, Instance
from airflow_provider_pai.emulator.dsw.life import Life, erase
from airflow_provider_pai.emulator.dsw.rules import check_culler, check_instance, check_labels, due_time
from airflow_provider_pai.emulator.ecs import EcsSpec, check_ecs_spec, filter_specs
from airflow_provider_pai.emulator.errors import ApiError, InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.labels import kept
from airflow_provider_pai.emulator.queries import choice, fuzzy, page
from airflow_provider_pai.emulator.runtime.mounts import FolderSource
from airflow_provider_pai.emulator.types import Json

MAX_LABELS = 4
OTHER_ERROR = "InternalError"
"""Code of every error but ValidationError, with the status 400 or 404 [help: StartInstance, DeleteInstance]."""

SORT_KEYS: dict[str, Callable[[Instance], object]] = {
    "GmtCreateTime": lambda instance: instance.document["CreatedAt"],
    "GmtModifiedTime": lambda instance: instance.document["GmtModifiedTime"],
    "Priority": lambda instance: instance.request.get("Priority", 1),
}
EQUAL: dict[str, Callable[[Instance], str | None]] = {
    "Status": lambda instance: instance.status,
    "InstanceId": lambda instance: instance.id,
    "WorkspaceId": lambda instance: instance.request["WorkspaceId"],
    "PaymentType": lambda instance: instance.payment,
    "AcceleratorType": lambda instance: instance.accelerator,
    "Accessibility": lambda instance: instance.request["Accessibility"],
}

# Fields of UpdateInstance that empty a field, and those that take effect while the instance runs.
DISASSOCIATE = {
    "DisassociateDatasets": "Datasets",
    "DisassociateEnvironmentVariables": "EnvironmentVariables",
    "DisassociateUserCommand": "UserCommand",
    "DisassociateVpc": "UserVpc",
    "DisassociateDriver": "Driver",
    "DisassociateCredential": "CredentialConfig",
}
CHANGEABLE_ANYTIME = frozenset({"InstanceName", "Accessibility", "Priority"})


class DswBackend:
    """All instances of the account; a restarted emulator knows those of before."""

    def __init__(self, account: Account, workspaces: AIWorkspaceBackend, oss: FolderSource) -> None:
        self.account = account
        self._workspaces = workspaces
        self._oss = oss
        self._instances = {document["InstanceId"]: Instance(account, document) for document in account.store.all(KIND)}
        self._lives = {instance.id: self._life(instance) for instance in self._instances.values()}
        for instance in list(self._instances.values()):
            self._close_interrupted(instance)

    def _close_interrupted(self, instance: Instance) -> None:
        """Settle an instance whose processes ended with an earlier emulator."""
        if instance.status == "Deleting":
            self._forget(instance)
            erase(self._folder(instance))
        elif instance.status in ("Stopping", "Saving", "Saved"):
            instance.move("Stopped")
        elif not instance.resting:
            message = "The emulator was restarted while the instance was active."
            instance.move("Failed", "EmulatorRestarted", message)

    def create(self, request: Json) -> Json:
        """Create an instance and start it."""
        check_instance(request, self.account.world)
        if request.get("EcsSpec"):
            check_ecs_spec("EcsSpec", request["EcsSpec"])
        workspace_id = self._workspaces.check_workspace(request.get("WorkspaceId"))
        labels = self._kept(request.get("Labels") or [])
        defaults = {"Accessibility": "PRIVATE", "Priority": 1}
        instance = Instance.create(self.account, {**defaults, **request, "WorkspaceId": workspace_id, "Labels": labels})
        self._instances[instance.id] = instance
        self._lives[instance.id] = self._life(instance)
        self._lives[instance.id].start()
        return {"InstanceId": instance.id}

    def get(self, instance_id: str) -> Json:
        """Return one instance."""
        return self._instance(instance_id).describe()

    def list(self, query: dict[str, str], labels: dict[str, str], number: int, size: int) -> Json:
        """List instances, one page; without ResourceId only those that are paid as they go."""
        if len(labels) > MAX_LABELS:
            raise InvalidParameterError(f"Labels may have {MAX_LABELS} entries, not {len(labels)}.")
        key = SORT_KEYS[choice(query, "SortBy", "GmtCreateTime", tuple(SORT_KEYS))]
        moment = self.account.now().timestamp() - self.account.settings.list_lag
        known = filter(None, (instance.as_of(moment) for instance in self._instances.values()))
        instances = [instance for instance in known if _matches(instance, query, labels)]
        instances.sort(key=key, reverse=choice(query, "Order", "DESC", ("ASC", "DESC")) == "DESC")  # type: ignore[arg-type]
        items = [instance.describe() for instance in page(instances, number, size)]
        return {"Instances": items, "TotalCount": len(instances)}

    def start(self, instance_id: str) -> Json:
        """Start an instance that rests."""
        self._resting(instance_id, "started").move("Creating")
        self._lives[instance_id].start()
        return {"InstanceId": instance_id}

    def stop(self, instance_id: str, save_image: bool) -> Json:
        """Begin to stop an instance.

        :raises ApiError: 400 when it does not run or is being stopped, saved or deleted.
        """
        instance = self._instance(instance_id)
        ending = instance.resting or instance.status in ("Stopping", "Saving", "Saved", "Deleting")
        if ending or (save_image and instance.status != "Running"):
            raise ApiError(400, OTHER_ERROR, f"Instance {instance_id} is {instance.status}: not stoppable.")
        self._lives[instance_id].stop(save_image)
        return {"InstanceId": instance_id}

    def delete(self, instance_id: str) -> Json:
        """Begin to delete an instance that rests."""
        instance = self._resting(instance_id, "deleted")
        self._lives[instance_id].delete(lambda: self._forget(instance))
        return {"InstanceId": instance_id}

    def update(self, instance_id: str, request: Json) -> Json:
        """Change an instance; most fields only while it rests."""
        instance = self._instance(instance_id)
        start = request.pop("StartInstance", False)
        cleared = [field for flag, field in DISASSOCIATE.items() if request.pop(flag, False)]
        changes = {name: value for name, value in request.items() if value not in (None, [], {})}
        changed = {name: value for name, value in instance.request.items() if name not in cleared} | changes
        if not CHANGEABLE_ANYTIME.issuperset([*changes, *cleared]) or start:
            self._resting(instance_id, "changed")
        check_instance(changed, self.account.world)
        instance.document["Request"] = changed
        instance.save()
        return self.start(instance_id) if start else {"InstanceId": instance_id}

    def set_timer(self, instance_id: str, request: Json) -> Json:
        """Let an instance be stopped at a time; of a time and a span the span counts, as the SDK of 2021 tells.

        A second timer is refused, as is a second idle culler, whose page tells it; that of timers tells nothing.

        :raises ApiError: 400 where there is one, or where the world takes none yet.
        """
        instance, world = self._instance(instance_id), self.account.world
        if instance.timer:
            raise ApiError(400, OTHER_ERROR, f"Instance {instance_id} has a shutdown timer.")
        if instance.resting or (world.dsw_timer == "running" and instance.status != "Running"):
            raise ApiError(400, OTHER_ERROR, f"Instance {instance_id} is {instance.status}: it takes no timer.")
        instance.set_timer(due_time(request, self.account.now()))
        self._lives[instance_id].begin_timer(lambda: self.stop(instance_id, save_image=False))
        return {"InstanceId": instance_id}

    def get_timer(self, instance_id: str) -> Json:
        """Return an instance's timer.

        :raises NotFoundError: it has none; what the service answers then is not published.
        """
        timer = self._instance(instance_id).timer
        if timer is None:
            raise NotFoundError(f"Instance {instance_id} has no shutdown timer.", OTHER_ERROR)
        left = datetime.fromisoformat(timer["DueTime"]) - self.account.now()
        return {"InstanceId": instance_id, **timer, "RemainingTimeInMs": int(1000 * left.total_seconds())}

    def lift_timer(self, instance_id: str) -> Json:
        """Take an instance's timer away."""
        self.get_timer(instance_id)
        self._instance(instance_id).lift_timer()
        return {"InstanceId": instance_id}

    def set_culler(self, instance_id: str, request: Json) -> Json:
        """Keep by which rule an instance is stopped when it idles.

        :raises ApiError: 400 where there is one: it must be deleted first [help: CreateIdleInstanceCuller].
        """
        instance = self._instance(instance_id)
        if instance.culler:
            raise ApiError(400, OTHER_ERROR, f"Instance {instance_id} has an idle instance culler.")
        instance.document["IdleInstanceCuller"] = check_culler(request)
        instance.save()
        return {"InstanceId": instance_id}

    def get_culler(self, instance_id: str) -> Json:
        """Return an instance's rule.

        :raises NotFoundError: it has none; what the service answers then is not published.
        """
        culler = self._instance(instance_id).culler
        if not culler:
            raise NotFoundError(f"Instance {instance_id} has no idle instance culler.", OTHER_ERROR)
        idle = self._lives[instance_id].idleness.minutes
        return {"InstanceId": instance_id, **culler, "IdleTimeInMinutes": int(idle)}

    def lift_culler(self, instance_id: str) -> Json:
        """Take an instance's rule away."""
        self.get_culler(instance_id)
        instance = self._instance(instance_id)
        del instance.document["IdleInstanceCuller"]
        instance.save()
        return {"InstanceId": instance_id}

    def update_labels(self, instance_id: str, labels: Sequence[Json]) -> Json:
        """Set labels; those not named stay."""
        check_labels(labels)
        instance = self._instance(instance_id)
        instance.request["Labels"] = self._kept([*(instance.request.get("Labels") or []), *labels])
        instance.save()
        return {}

    def delete_labels(self, instance_id: str, keys: str) -> Json:
        """Remove labels by a comma list of keys."""
        instance, unwanted = self._instance(instance_id), keys.split(",")
        labels = instance.request.get("Labels") or []
        instance.request["Labels"] = [label for label in labels if label["Key"] not in unwanted]
        instance.save()
        return {}

    def events(self, instance_id: str, span: tuple[datetime, datetime], limit: int) -> Json:
        """Return the newest events of one instance."""
        return {"InstanceId": instance_id, "Events": self._instance(instance_id).events(*span, limit)}

    def ecs_specs(self, query: dict[str, str], number: int, size: int) -> Json:
        """List instance types of one kind of accelerator, one page; its page says that it has to be named."""
        if not query.get("AcceleratorType"):
            raise InvalidParameterError("AcceleratorType is required.")
        specs = filter_specs(query)
        return {"EcsSpecs": [_describe_spec(spec) for spec in page(specs, number, size)], "TotalCount": len(specs)}

    def _kept(self, labels: Sequence[Json]) -> Sequence[Json]:
        """Return labels as an instance keeps them; of those with the same key the last."""
        merged = {label["Key"]: label["Value"] for label in labels}
        return [{"Key": key, "Value": value} for key, value in kept(merged, self.account.world).items()]

    def _life(self, instance: Instance) -> Life:
        return Life(self.account, instance, self._folder(instance), self._oss)

    def _folder(self, instance: Instance) -> Path:
        return self.account.data / "dsw" / instance.id

    def _instance(self, instance_id: str) -> Instance:
        if instance_id not in self._instances:
            raise NotFoundError(f"Instance {instance_id} does not exist.", OTHER_ERROR)
        return self._instances[instance_id]

    def _resting(self, instance_id: str, verb: str) -> Instance:
        instance = self._instance(instance_id)
        if not instance.resting:
            message = f"Instance {instance_id} is {instance.status}; only a stopped one can be {verb}."
            raise ApiError(400, OTHER_ERROR, message)
        return instance

    def _forget(self, instance: Instance) -> None:
        self.account.store.delete(KIND, instance.id)
        self._instances.pop(instance.id, None)
        self._lives.pop(instance.id, None)


def _matches(instance: Instance, query: dict[str, str], labels: dict[str, str]) -> bool:
    own = {label["Key"]: label["Value"] for label in instance.request.get("Labels") or []}
    resource = query.get("ResourceId") or ""
    return (
        fuzzy(query.get("InstanceName"), instance.request["InstanceName"])
        and resource in ("ALL", instance.request.get("ResourceId") or "")
        and all(own.get(key) == value for key, value in labels.items())
        and all(query.get(name) in (None, "", value(instance)) for name, value in EQUAL.items())
    )


def _describe_spec(spec: EcsSpec) -> Json:
    return {
        "AcceleratorType": spec.accelerator,
        "CPU": spec.cpu,
        "Currency": "CNY",
        "GPU": spec.gpu,
        "GPUMemorySize": spec.gpu_memory,
        "GPUType": spec.gpu_type,
        "InstanceType": spec.instance_type,
        "IsAvailable": True,
        "Memory": spec.memory,
        "Price": spec.price,
        "SystemDiskCapacity": 100,
    }
