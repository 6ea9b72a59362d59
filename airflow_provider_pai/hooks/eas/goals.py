"""Goals that a service is waited for, and the undo of an unfinished deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_pai.hooks.eas.diagnosis import Down
from airflow_provider_pai.hooks.eas.service_config import takes_traffic
from airflow_provider_pai.labels import Deployment, Owner
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import EAS_DELETE, EAS_GONE, EAS_READY, EAS_STOP, States, Verdict

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas.hook import EasHook


class Until(NamedTuple):
    """The state that a service is waited for.

    :param state: one of `GOALS`; `ready` is up with every instance, which "Running" alone is not.
    :param instances: how many instances `ready` asks for; None: as many as the service is to have now.
    """

    state: str
    instances: int | None = None

    def judge(self, service: RemoteJob) -> Verdict:
        """Return what a look at the service means to whoever waits."""
        verdict = GOALS[self.state].judge(service.status)
        whole = self.state != "ready" or self._whole(service.facts.get("running", 0), service.facts.get("total", 0))
        return verdict if whole or verdict is not Verdict.SUCCEEDED else Verdict.ACTIVE

    def is_over(self, service: RemoteJob) -> bool:
        """Tell whether there is nothing more to wait for."""
        return self.judge(service) in (Verdict.SUCCEEDED, Verdict.FAILED)

    def told(self, hook: EasHook, name: str) -> Down:
        """Return why a service is not what it is waited for; only of `ready` there is anything to tell."""
        return hook.down(name) if self.state == "ready" else Down()

    def _whole(self, running: int, total: int) -> bool:
        return running >= max(1, total) if self.instances is None else running == total == self.instances

    def to_dict(self) -> Json:
        """Return plain JSON; the constructor takes it back."""
        return self._asdict()


GOALS: Mapping[str, States] = {"ready": EAS_READY, "stopped": EAS_STOP, "deleted": EAS_DELETE}


class Undo(NamedTuple):
    """The way back from what a task does to a service.

    :param version: EAS's number of the version that served before; 0: the service was made, and is deleted; None: it
        was started, and is stopped unless it takes group traffic.
    :param owner: labels that stand on the service while it is the task's to undo.
    """

    version: int | None
    owner: Mapping[str, str]

    @classmethod
    def of(cls, labels: Mapping[str, str], owner: Owner) -> Undo | None:
        """Return the way back that a deployed service's labels tell; None for what another task has done."""
        deployment = Deployment.of(labels)
        undo = cls(version=deployment.before, owner=owner.labels()) if deployment else None
        return undo if undo and undo.owns(labels) else None

    def owns(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the service is the task's to undo."""
        return self.owner.items() <= labels.items()

    def carry_out(self, hook: EasHook, name: str) -> None:
        """Delete what was made, go back to what served before, or stop what was started.

        What has become ready, and was written down, is no longer undone.
        """
        service = hook.get(name)
        if service.status == EAS_GONE or not self.owns(service.tags):
            return
        deployment = Deployment.of(service.tags) or Deployment()
        if self.version is None:
            if not takes_traffic(hook.describe(name)):
                hook.log.warning("Stopping service %s, which was started in vain", name)
                hook.stop(name)
        elif deployment.config_version:
            return
        elif not self.version:
            hook.log.warning("Deleting service %s, which did not become ready", name)
            hook.delete(name)
        elif service.facts["version"] != self.version:
            hook.log.warning("Service %s goes back to its version %d", name, self.version)
            hook.use_version(name, self.version)
            # Without its hash, a later try does not take what was undone for what it asked for.
            hook.label(name, {**service.tags, **deployment._replace(config="").labels()})

    def to_dict(self) -> Json:
        """Return plain JSON; the constructor takes it back."""
        return {"version": self.version, "owner": dict(self.owner)}
