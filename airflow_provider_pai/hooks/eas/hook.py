"""Hook of EAS (Elastic Algorithm Service) 2021-07-01: model services, deployed and scaled, and their groups."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
    PaiUnsupportedError,
)
from airflow_provider_pai.hooks.answers import JsonText, Needed, Page
from airflow_provider_pai.hooks.eas.calls import PAGE_SIZE, labels_of, without_token
from airflow_provider_pai.hooks.eas.creation import RAM_ROLE, doubts, is_made_by, makers, not_done, refusal
from airflow_provider_pai.hooks.eas.service_config import numbered, value_at
from airflow_provider_pai.hooks.eas.traffic import EasTraffic
from airflow_provider_pai.hooks.paging import all_items
from airflow_provider_pai.inputs import mapping, merged, whole_number
from airflow_provider_pai.labels import fitted
from airflow_provider_pai.remote import Json
from airflow_provider_pai.states import EAS_GOING, EAS_SERVICE

# What is read of answers.
_CREATED = {"ServiceName": Needed(str)}
_VERSIONS = Page("Versions", {"BuildTime": str, "ServiceConfig": JsonText({})})
_SCALER = {"MinReplica": int, "MaxReplica": int}
_BEING_STOPPED = EAS_SERVICE.stopping - EAS_SERVICE.deleting
_UP = EAS_SERVICE.active - EAS_SERVICE.stopping | EAS_SERVICE.succeeded
_PAUSES = (0.0, 1.0, 2.0, 3.0)
"""Seconds before each look at whether EAS has done what a service JSON asks for."""


class EasHook(EasTraffic):
    """Services and groups of EAS."""

    def create(self, config: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> str:
        """Create a service from its JSON and return its name.

        A name that a service with the same task's labels bears is that service: the answer of an earlier try was lost.
        So what bears such labels is asked for again after a transient error, anything else never.
        A new member of a group gets none of its traffic.

        :raises PaiConflictError: the name is taken in this region.
        :raises PaiUnsupportedError: EAS passed over the group or the role; the service is deleted.
        :raises PaiTransientError: the answer was lost; the service may exist.
        """
        config = mapping("config", config)
        for doubt in doubts(config):
            self.log.warning("%s", doubt)
        request, sent = self._creation(config, labels or {}), 0

        def send() -> Any:
            nonlocal sent
            sent += 1
            return self.client.create_service(request)

        made = True
        try:
            name = str(self.ask("CreateService", send, _CREATED, repeatable=bool(makers(labels or {})))["ServiceName"])
        except PaiTransientError:
            raise
        except PaiApiError as error:
            name = self._adopted(error, config, labels or {})
            made = sent > 1
        if wrong := self._not_done(name, config):
            self.log.error("Deleting service %s, which is not what was asked for", name)
            self.delete(name)
            raise wrong
        if made and value_at(config, self.connection.eas_group_key):
            with suppress(PaiNotFoundError):  # it is not shown yet: whoever waits for it looks once more
                self.isolate(name)
        return name

    def _creation(self, config: Mapping[str, Any], labels: Mapping[str, str]) -> Any:
        from alibabacloud_eas20210701.models import CreateServiceRequest

        theirs = config.get("labels") or {}
        own = {key: value for key, value in fitted({**theirs, **labels}).items() if key not in theirs}
        return CreateServiceRequest(
            body=json.dumps(config), labels=own or None, workspace_id=self.connection.workspace_id
        )

    def _adopted(self, error: PaiApiError, config: Mapping[str, Any], labels: Mapping[str, str]) -> str:
        """Return the name of a service whose creation is refused since it is there; else raise why it is refused.

        The code of a name that is taken is not known.
        """
        name, holder = str(value_at(config, "metadata.name") or config.get("name")), None
        with suppress(PaiNotFoundError, PaiPermissionError):
            holder = self.describe(name)
        if not is_made_by(holder, labels):
            raise refusal(error, name, config, holder) from None
        return name

    def _not_done(self, name: str, config: Mapping[str, Any]) -> PaiUnsupportedError | None:
        """Return what EAS has passed over; what it does not show yet is given a moment."""
        at = self.connection
        if not (value_at(config, at.eas_group_key) or value_at(config, RAM_ROLE)):
            return None
        wrong = None
        for pause in _PAUSES:
            self.clock.sleep(pause)
            with suppress(PaiNotFoundError):
                wrong = not_done(config, self.describe(name), group_key=at.eas_group_key, conn_id=at.conn_id)
                if wrong is None:
                    return None
        return wrong

    def update(self, name: str, config: Mapping[str, Any], *, replace: bool = False) -> None:
        """Lay a service JSON over a service's own, or put it in its place; each makes a new version.

        Laid over are whole top-level objects, each merged with what is there: how deep EAS merges is not known. A JSON
        that takes the whole place and names no token keeps the token that callers have.

        :raises PaiUnsupportedError: EAS passed over the role; the version is made nevertheless.
        """
        from alibabacloud_eas20210701.models import UpdateServiceRequest

        config, update_type = mapping("config", config), "replace" if replace else "merge"
        if replace and "token" not in config:
            config = {**config, "token": self.endpoint(name).token}
        if not replace:
            own = json.loads(self.describe(name).get("ServiceConfig") or "{}")
            config = merged({key: own[key] for key in config if key in own}, config)
        request = UpdateServiceRequest(body=json.dumps(config), update_type=update_type)
        self._do("UpdateService", "update_service", name, request)
        if replace and (wrong := self._not_done(name, config)):
            raise wrong

    def versions(self, name: str) -> dict[int, Json]:
        """Return a service's versions as ListServiceVersions has them, the first first, by EAS's numbers of them."""
        from alibabacloud_eas20210701.models import ListServiceVersionsRequest

        def page(number: int) -> Json:
            request = ListServiceVersionsRequest(page_number=number, page_size=PAGE_SIZE)
            return self._do("ListServiceVersions", "list_service_versions", name, request, shape=_VERSIONS)

        return numbered([without_token(version) for version in all_items("Versions", page)], self.describe(name))

    def use_version(self, name: str, version: int) -> None:
        """Go back to an earlier version of a service; one that is there already is no error.

        It is there, too, where the answer was lost and the call is made again. API: UpdateServiceVersion.
        """
        from alibabacloud_eas20210701.models import UpdateServiceVersionRequest

        request = UpdateServiceVersionRequest(version=whole_number("version", version, least=1))
        try:
            self._do("UpdateServiceVersion", "update_service_version", name, request)
        except PaiApiError:
            if self.get(name).facts.get("version") != version:
                raise

    def start(self, name: str, *, poll_interval: float = 1.0) -> None:
        """Start a service that rests; one that is being stopped comes to rest first, one that is up is no error."""
        service = self.get(name)
        if service.status in _BEING_STOPPED:
            self.log.info("Service %s is being stopped, and is started once it rests", name)
            service = self.wait(name, poll_interval=poll_interval, until=lambda one: one.status not in _BEING_STOPPED)
        if service.status in _UP:
            return
        try:
            self._do("StartService", "start_service", name)
        except PaiApiError:
            if self.get(name).status not in EAS_SERVICE.starting | EAS_SERVICE.succeeded:
                raise

    def stop(self, name: str) -> None:
        """Ask for a stop, again where it is refused; a service that is stopped or stopping is no error.

        :raises PaiConflictError: its safety lock forbids it.
        """
        self._end("StopService", "stop_service", name, EAS_SERVICE.stopped | _BEING_STOPPED)

    def delete(self, name: str) -> None:
        """Delete a service, asking again where it is refused; one that is gone or going is no error.

        With its last service a group goes too.

        :raises PaiConflictError: its safety lock forbids it.
        """
        self._end("DeleteService", "delete_service", name, EAS_GOING)

    def _end(self, action: str, method: str, name: str, over: Collection[str]) -> None:
        going = partial(self.going, name, over)
        try:
            self._refuse_locked(action, name)
        except PaiNotFoundError:
            return
        except PaiConflictError:
            if going():
                raise
            return
        self.insist(action, lambda: getattr(self.client, method)(self.connection.region, name), going)

    def label(self, name: str, labels: Mapping[str, str]) -> None:
        """Set labels; give all that are to stay. Where there are too many, those go that only people read.

        API: UpdateServiceLabel, DeleteServiceLabel.
        """
        from alibabacloud_eas20210701.models import DeleteServiceLabelRequest, UpdateServiceLabelRequest

        kept = fitted(labels)
        if spare := labels.keys() - kept.keys():
            self.log.warning("No room on service %s for the labels %s", name, ", ".join(sorted(spare)))
            if standing := sorted(spare & labels_of(self.describe(name)).keys()):
                self._do("DeleteServiceLabel", "delete_service_label", name, DeleteServiceLabelRequest(keys=standing))
        self._do("UpdateServiceLabel", "update_service_label", name, UpdateServiceLabelRequest(labels=kept))

    def set_safety_lock(self, name: str, lock: str) -> None:
        """Forbid everything (`all`), stop and delete (`dangerous`) or nothing (`none`).

        API: UpdateServiceSafetyLock.
        """
        from alibabacloud_eas20210701.models import UpdateServiceSafetyLockRequest

        request = UpdateServiceSafetyLockRequest(lock=lock)
        self._do("UpdateServiceSafetyLock", "update_service_safety_lock", name, request)

    def autoscaler(self, name: str) -> Json | None:
        """Return what moves a service's number of instances, in the names of DescribeServiceAutoScaler."""
        try:
            settings = self._do("DescribeServiceAutoScaler", "describe_service_auto_scaler", name, shape=_SCALER)
        except PaiNotFoundError:
            return None
        return settings if settings.get("MaxReplica") else None

    def set_autoscaler(self, name: str, settings: Mapping[str, Any]) -> None:
        """Let EAS move the number of instances.

        API: CreateServiceAutoScaler; UpdateServiceAutoScaler where there is one.

        :param settings: `min`, `max`, `scaleStrategies`, `behavior`, as the API has them.
        """
        from alibabacloud_eas20210701 import models

        def ask(kind: str) -> None:
            request = getattr(models, f"{kind}ServiceAutoScalerRequest")().from_map(dict(settings))
            self._do(f"{kind}ServiceAutoScaler", f"{kind.lower()}_service_auto_scaler", name, request)

        try:
            ask("Create" if self.autoscaler(name) is None else "Update")
        except PaiConflictError:  # a creation whose answer was lost has made it
            ask("Update")

    def remove_autoscaler(self, name: str) -> None:
        """Leave the number of instances as it is; no autoscaler there is no error. API: DeleteServiceAutoScaler."""
        try:
            self._do("DeleteServiceAutoScaler", "delete_service_auto_scaler", name)
        except PaiNotFoundError:
            return

    def _refuse_locked(self, action: str, name: str) -> None:
        """Say what the lock is and who lifts it, rather than what the service makes of the call."""
        lock = self.describe(name).get("SafetyLock")
        if lock in ("all", "dangerous"):
            message = f"service {name} has the safety lock {lock!r}; a person may lift it (EasSetSafetyLockOperator)"
            raise PaiConflictError(self.service, action, message, "SafetyLock")
