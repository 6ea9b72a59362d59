"""Operator that goes back to a model that served before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConfigError,
    PaiError,
    PaiNotFoundError,
    PaiTimeoutError,
    PaiTransientError,
    PaiVersionError,
    RolloutStoppedError,
)
from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.hooks.eas.service_config import with_value
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import Span, mapping, optional, parse_uri, required, seconds
from airflow_provider_pai.labels import Mark, ServedModel, artifact_labels
from airflow_provider_pai.operators.eas.base import WaitingOperator, triggered_by
from airflow_provider_pai.operators.eas.spec import checked_name
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.schemas import DEPLOYMENT, SCHEMA_VERSION
from airflow_provider_pai.states import EAS_GONE, Verdict
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.canary.group import Group, Member
    from airflow_provider_pai.rollouts.lease import Lease


class EasRollbackOperator(WaitingOperator):
    """Let a service group serve a version that it served before.

    Where the service of that version still stands, it is started if need be and gets the traffic by weight; where not,
    its artifact is deployed again with the service JSON of what serves now. Traffic is moved only when every instance
    is ready and the golden requests, if there are any, are answered as expected; at no moment is nobody there to
    answer. What served until then loses its traffic, is stopped after `drain` seconds, and its digest is not deployed
    again by an automatic retry.

    A rollout that is under way holds the group: end its task, which takes its candidate out by itself. A retry goes on
    with the version that the first try chose. Ended before the traffic moves, the task stops what it has started.

    API: ReleaseService, UpdateGroup, StartService, CreateService.

    :param group: service group. (templated)
    :param to: `previous`, the version that served before; `promoted`, the last that a rollout has brought in and
        that was not bad; or a version. (templated)
    :param reason: why, for the ledger, and for the labels of what served until now. (templated)
    :param artifact: `oss://` address of the version to go back to, where neither its service nor the ledger tells
        it; takes the place of `to`. (templated)
    :param probe: golden requests, as `EasCanaryDeployOperator` has them. (templated)
    :param drain: seconds between taking the traffic of what served and stopping it. (templated)
    :param gateway_timeout: seconds for which a gateway that does not reach the service yet is waited for; then golden
        requests fail the task, and without any the traffic is moved all the same. (templated)
    :returns: `{"group", "outcome", "reason", "service", "version", "digest", "previous", "previous_version",
        "previous_digest", "serving_version"}`; outcome is restored, or unchanged where that version serves already;
        `previous` is what served until now. The ledger's row `restored` has the same, and who triggered the run; its
        version is what serves again.
    """

    about = "Take group {group} back to {to}: {reason}"
    came = "Group {group} serves {version} again, no longer {previous_version}"

    template_fields: Sequence[str] = (
        "group",
        "to",
        "reason",
        "artifact",
        "probe",
        "drain",
        "gateway_timeout",
    )
    template_fields_renderers = {"probe": "json"}

    def __init__(
        self,
        *,
        group: str,
        to: str = "previous",
        reason: str | None = None,
        artifact: str | None = None,
        probe: Mapping[str, Any] | None = None,
        drain: float | str = 30.0,
        gateway_timeout: Span = 180.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group = group
        self.to = to
        self.reason = reason
        self.artifact = artifact
        self.probe = probe
        self.drain = drain
        self.gateway_timeout = gateway_timeout

    def change(self, context: Any) -> str:
        """Choose the version and bring its service up; return what serves where it has that version already."""
        from airflow_provider_pai.canary.memory import recall

        self._check()
        hook, identity = self.hook, self.identity(context)
        with self._held(identity) as (home, lease):
            known = lease.memory if lease else {}
            group = recall(hook.group(self.group, *known), known, hook.service_clock.now())
            name = self._marked(group, identity) or self._choose(group, identity, home)
            service = hook.get(name)
            self._begun = _way_back(name, service.tags, identity)
            if self._begun:
                hook.start(name, poll_interval=self.poll_interval)
        return name

    def wait(self, context: Any, name: str) -> RemoteJob:
        """Wait for the service that was chosen; what serves already is taken as it is."""
        return super().wait(context, name) if self._begun else self.hook.get(name)

    def begun(self, context: Any) -> tuple[str, Undo] | None:
        """Return the service that this task has chosen, and how to stop it if it was started in vain."""
        identity = self.identity(context)
        members = self.hook.group(self.group).members
        return next(filter(None, (_way_back(each.name, each.labels, identity) for each in members)), None)

    def finish(self, context: Any, service: RemoteJob) -> Json:
        """Let the service that is ready take the traffic: the one end of every path.

        :raises RolloutStoppedError: its answers are wrong, or someone else moved the traffic.
        :raises PaiTimeoutError: its golden requests do not reach it.
        """
        from airflow_provider_pai.rollouts.fence import Fence
        from airflow_provider_pai.rollouts.takeover import Takeover

        identity, name = self.identity(context), service.job_id
        mark = _mark(service.tags, identity)
        if mark is None:
            return self._end_of("unchanged", name, service.tags, None)
        takeover = Takeover(
            hook=self.hook,
            group=self.group,
            service=name,
            replaced=mark.replaced,
            log=self.log,
            why=self.reason or "",
        )
        try:
            with self._held(identity) as (home, lease):
                self._smoke(name)
                takeover.move(Fence(lease, self.hook, self.group) if lease else None)
                bad = takeover.settle(seconds("drain", self.drain, least=0), lease.memory if lease else {})
        except PaiError as error:
            self.leave(context, error)
            raise
        end = self._end_of("restored", name, service.tags, bad)
        payload = {**triggered_by(context), **end}
        self.record("restored", self.group, identity, ServedModel.of(service.tags), payload, beside=home)
        line = f"Group {self.group} serves {end['version'] or name} again, no longer {end['previous_version'] or bad}"
        context["ti"].xcom_push(key="summary", value=line)
        return end

    def told(self, result: Json) -> str:
        """Return in one line what serves."""
        unchanged = result["outcome"] == "unchanged"
        return self.in_words("Group {group} serves {version} already", result) if unchanged else super().told(result)

    def _check(self) -> None:
        from airflow_provider_pai.metrics.golden_requests import make_probe

        checked_name("group", self.group)
        self.to = required("to", self.to, "previous, promoted or a version")
        self.reason = optional("reason", self.reason, "words that tell why")
        seconds("wait_timeout", self.wait_timeout)
        seconds("drain", self.drain, least=0)
        seconds("gateway_timeout", self.gateway_timeout, least=0)
        self.artifact = optional("artifact", self.artifact, "an artifact's oss:// address")
        if self.artifact:
            parse_uri("artifact", self.artifact)
        self.probe = mapping("probe", self.probe)
        if self.probe:
            make_probe(self.probe, self.oss)

    def _marked(self, group: Group, identity: TaskIdentity) -> str | None:
        """Return the service that an earlier try has chosen."""
        return next((member.name for member in group.members if _mark(member.labels, identity)), None)

    def _choose(self, group: Group, identity: TaskIdentity, home: OssUri | None) -> str:
        """Return the service to go back to, marked as this task's choice; unmarked where it serves already.

        :raises PaiConfigError: there is no such version.
        :raises PaiNotFoundError: there is no service.
        """
        from airflow_provider_pai.manifests import read_artifact
        from airflow_provider_pai.rollouts.history import serving_member, version_of
        from airflow_provider_pai.rollouts.home import home_labels

        if not group.members:
            raise PaiNotFoundError.of("eas", "DescribeGroup", "group", self.group, "a group with at least one service")
        current = serving_member(group)
        version = read_artifact(self.oss, self.artifact).version if self.artifact else self._meant(group, current, home)
        if current is not None and version == version_of(current):
            return current.name
        self.log.info("Group %s goes from %s back to %s", self.group, version_of(current) or "nothing", version)
        mark = Mark(owner=identity.owner, replaced=current.name if current else "")
        member = next((member for member in group.members if version_of(member) == version), None)
        if member is None or not self._stands(member):
            labels = {**identity.labels(), **mark.labels(), **(home_labels(home) if home else {})}
            return self._redeploy(current or group.members[0], version, home, labels)
        self.hook.label(member.name, {**member.labels, **mark.labels()})
        return member.name

    def _meant(self, group: Group, current: Member | None, home: OssUri | None) -> str:
        """Return the version that `to` means; the ledger is asked only where it matters, and only if it is the one.

        :raises PaiConfigError: nothing that can be believed tells.
        """
        from airflow_provider_pai.rollouts.history import chosen_version, standing_versions

        if self.to not in ("previous", "promoted"):
            return self.to
        told = self.ledger.served(self.group, home)
        version = chosen_version(self.to, group, current, () if told.doubt else told.rows)
        if version:
            return version
        why = f"nothing tells what group {self.group} served before" + (f", since {told.doubt}" if told.doubt else "")
        raise PaiConfigError("to", self.to, f"name a version: {why}; these stand: {standing_versions(group)}")

    def _stands(self, member: Member) -> bool:
        """Tell whether a service is there to be started, once what is being done to it is over."""
        if not member.leaving:
            return True
        self.log.info("%s; waiting until it rests", member)
        rested = self.hook.wait(member.name, poll_interval=self.poll_interval, until=Until(state="stopped").is_over)
        # One that was being stopped can be started again; one that was being deleted is gone, and is made again.
        return self.hook.states.judge(rested.status) is Verdict.FAILED and rested.status != EAS_GONE

    def _redeploy(self, like: Member, version: str, home: OssUri | None, labels: Mapping[str, str]) -> str:
        """Make the version's service again, like the one that serves, without traffic."""
        from airflow_provider_pai.canary.group import Phase, Progress, service_name
        from airflow_provider_pai.manifests import read_artifact, served_artifact

        described = self.hook.describe(like.name)
        serving = served_artifact(self.oss, described)
        if serving is None:
            raise PaiConfigError("to", version, f"a version whose service stands; {like.name} mounts no artifact")
        beside = OssUri.parse(serving.uri.rstrip("/")).parent.join(version).folder
        folder = OssUri.parse(self.artifact or self.ledger.artifact_uri(version, home) or str(beside)).folder
        artifact = read_artifact(self.oss, str(folder))
        if artifact.version != version:
            raise PaiConfigError("to", version, f"the version of {folder}, which is {artifact.version}")
        name = service_name(self.group, version)
        # Wherever the JSON speaks of the artifact that serves, it speaks of the other now.
        text = described["ServiceConfig"].replace(serving.uri.rstrip("/"), str(folder).rstrip("/"))
        if str(folder).rstrip("/") not in text:
            raise PaiConfigError(
                "to", version, f"a version whose service stands; {like.name}'s JSON has no place for {folder}"
            )
        config = {key: value for key, value in json.loads(text).items() if key not in ("name", "token")}
        config = with_value(with_value(config, "metadata.name", name), self.hook.connection.eas_group_key, self.group)
        progress = Progress(phase=Phase.RETIRED, note="made again by a rollback")
        self.log.info("Creating %s from %s", name, folder)
        self.hook.create(config, {**progress.labels(), **artifact_labels(artifact), **labels})
        return name

    def _smoke(self, name: str) -> None:
        from airflow_provider_pai.metrics.golden_requests import KNOCK, make_probe

        probe = make_probe(self.probe, self.oss) if self.probe else KNOCK
        timeout = seconds("gateway_timeout", self.gateway_timeout, least=0)
        answers = probe.ask(self.hook.endpoint(name), timeout, self.clock)
        if answers.unreached and self.probe:
            raise PaiTimeoutError(f"{name} was not reached for {timeout:g} s: {answers.wrong}")
        if answers.unreached:
            self.log.warning("%s was not reached for %g s: %s", name, timeout, answers.wrong)
        elif answers.wrong and self.probe:
            raise RolloutStoppedError(f"{name} does not answer golden requests as expected: {answers.wrong}")

    def _end_of(self, outcome: str, name: str, labels: Mapping[str, str], bad: Member | None) -> Json:
        model, previous = ServedModel.of(labels), ServedModel.of(bad.labels) if bad else ServedModel()
        return {
            SCHEMA_VERSION: DEPLOYMENT.number,
            "group": self.group,
            "outcome": outcome,
            "reason": self.reason or None,
            "service": name,
            "version": model.version or None,
            "digest": model.digest or None,
            "previous": bad.name if bad else None,
            "previous_version": previous.version or None,
            "previous_digest": previous.digest or None,
            "serving_version": model.version or None,
        }

    @contextmanager
    def _held(self, identity: TaskIdentity) -> Iterator[tuple[OssUri | None, Lease | None]]:
        """Hold the group, so that no rollout works on it meanwhile.

        Gives its state's home and the lease; None where they can't be used.

        :raises PaiError: a rollout holds it.
        """
        from airflow_provider_pai.hooks.oss.home import rollout_folder
        from airflow_provider_pai.rollouts.holders import has_ended
        from airflow_provider_pai.rollouts.home import home_of
        from airflow_provider_pai.rollouts.lease import Holder, Lease

        home = wanted = held = other = None
        try:
            try:
                home = home_of(self.hook, self.hook.group(self.group))
                wanted = Lease(self.oss, rollout_folder(home, self.group), Holder.of(identity), ended=has_ended)
                other, held = wanted.take(), wanted
            except PaiTransientError:
                raise
            except (PaiApiError, PaiConfigError, PaiVersionError) as error:
                # No rollout can hold it either: that must not bar the way back.
                self.log.warning("Going back without the lease of group %s: %s", self.group, error)
            if other is not None:
                raise PaiError(
                    f"group {self.group} is held by {other} → end that task first, it takes its candidate out"
                )
            yield home, held
        finally:
            if wanted is not None:
                self._give_back(wanted)

    def _give_back(self, lease: Lease) -> None:
        """Release the lease; where that fails it ends by itself, and what was done is done."""
        try:
            lease.release()
        except PaiError as error:
            self.log.warning("The lease of group %s is not given back, and ends by itself: %s", self.group, error)


def _mark(labels: Mapping[str, str], identity: TaskIdentity) -> Mark | None:
    """Return the mark of a service that this task has chosen."""
    mark = Mark.of(labels)
    return mark if mark is not None and mark.owner == identity.owner else None


def _way_back(name: str, labels: Mapping[str, str], identity: TaskIdentity) -> tuple[str, Undo] | None:
    mark = _mark(labels, identity)
    return (name, Undo(version=None, owner=mark.labels())) if mark else None
