"""Sensors for OSS: objects, prefixes at rest and complete artifacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError
from airflow_provider_pai.inputs import Span, moment, parse_uri, required_artifact, seconds, texts, whole_number
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.remote import Json
from airflow_provider_pai.sensors.base import PaiSensor
from airflow_provider_pai.triggers.oss import (
    OssArtifactTrigger,
    OssKeyTrigger,
    OssPrefixUnchangedTrigger,
    sort_found,
)
from airflow_provider_pai.triggers.oss_quiet import Quiet
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.hooks.oss.objects import ObjectInfo


class _OssSensor(PaiSensor["OssHook"]):
    @property
    def hook_class(self) -> type[OssHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.oss import OssHook

        return OssHook


class OssKeySensor(_OssSensor):
    """Wait until there is an object for every address.

    :param uri: `oss://bucket/key`, one or a list; `*`, `?` and `[…]` are wildcards, unless there is an object of that
        very name. (templated)
    :param min_size: bytes; smaller objects do not count.
    :param check_fn: called in the worker with the list of `{"uri", "size", "etag", "last_modified"}`; false: wait on.
    :returns: the addresses of the objects.
    """

    about = "Wait for {uri}"
    came = "Found: {result}"

    template_fields: Sequence[str] = ("uri",)

    def __init__(
        self,
        *,
        uri: str | list[str],
        min_size: int = 0,
        check_fn: Callable[[list[Json]], bool] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.min_size = whole_number("min_size", min_size)
        if check_fn is not None and not callable(check_fn):
            raise PaiConfigError("check_fn", check_fn, "a function, or none")
        self.check_fn = check_fn

    @property
    def uris(self) -> list[str]:
        """Return the addresses.

        :raises PaiConfigError: one of them is not `oss://bucket/key`.
        """
        parsed = [parse_uri("uri", uri) for uri in texts("uri", self.uri) or ()]
        if not parsed or any(not uri.key or uri.key.endswith("/") for uri in parsed):
            raise PaiConfigError("uri", self.uri, "at least one oss://bucket/key with a key, no prefix")
        return [str(uri) for uri in parsed]

    def check(self) -> list[str] | None:
        """Look for the objects."""
        from airflow_provider_pai.triggers.oss_listings import find_now

        uris = self.uris
        found = find_now(self.hook, uris)
        complete, missing = sort_found({uri: found[uri] for uri in uris}, self.min_size)
        if missing:
            self.log.info("Waiting for %s", ", ".join(missing))
        elif self.check_fn is None or self.check_fn(_facts(complete, found)):
            return complete
        else:
            self.log.info("check_fn does not take %s yet", ", ".join(complete))
        return None

    def make_trigger(self, poll_interval: float, deadline: str, delay: float = 0.0) -> OssKeyTrigger:
        """Return the trigger."""
        return OssKeyTrigger(
            uris=self.uris,
            min_size=self.min_size,
            delay=delay,
            hook_arguments=self.hook_arguments,
            poll_interval=poll_interval,
            deadline=deadline,
        )

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Go on where the trigger left off; what `check_fn` does not take is waited for anew."""
        if "found" in event and self.check_fn is not None and self.check() is None:
            interval = float(self.poke_interval)
            trigger = self.make_trigger(interval, self._deadline(context), interval)
            self.defer(trigger=trigger, method_name="execute_complete")
        return super().execute_complete(context, event)


class OssPrefixUnchangedSensor(_OssSensor):
    """Wait until nothing below a prefix has come, changed or gone for some time.

    Times are OSS's. What has been deleted is noticed from the first look on.

    :param uri: `oss://bucket/prefix/`. (templated)
    :param quiet_seconds: how long nothing may have changed.
    :param min_objects: how many objects there must be.
    :returns: the addresses of the objects.
    """

    about = "Wait until {uri} is at rest for {quiet_seconds} s"
    came = "{uri} is at rest: {result}"

    template_fields: Sequence[str] = ("uri",)

    def __init__(self, *, uri: str, quiet_seconds: Span = 300.0, min_objects: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.quiet_seconds = seconds("quiet_seconds", quiet_seconds)
        self.min_objects = whole_number("min_objects", min_objects)

    @property
    def prefix(self) -> str:
        """Return the prefix.

        :raises PaiConfigError: it is none.
        """
        return str(parse_uri("uri", self.uri).folder)

    @cached_property
    def _quiet(self) -> Quiet:
        return Quiet(self.quiet_seconds, self.min_objects)

    def check(self) -> list[str] | None:
        """Look at the whole prefix."""
        infos = list(self.hook.list_objects(self.prefix))
        if reason := self._quiet.restless(infos, self.hook.service_clock.utc()):
            self.log.info("Waiting for %s to come to rest: %s", self.prefix, reason)
            return None
        return [str(info.uri) for info in infos]

    def make_trigger(self, poll_interval: float, deadline: str) -> OssPrefixUnchangedTrigger:
        """Return the trigger."""
        return OssPrefixUnchangedTrigger(
            uri=self.prefix,
            quiet_seconds=self.quiet_seconds,
            min_objects=self.min_objects,
            hook_arguments=self.hook_arguments,
            poll_interval=poll_interval,
            deadline=deadline,
        )


class OssArtifactSensor(_OssSensor):
    """Wait for a complete artifact: a manifest whose files are all there with their size and CRC64.

    A missing, torn or older manifest keeps waiting, and the log says what is wrong.

    :param artifact: a ModelArtifact's dict, as a task's XCom gives it (then its digest is waited for), or its `oss://`
        prefix. (templated)
    :param newer_than: ISO 8601; the end of its data interval must lie behind, e.g. that of the last model. (templated)
    :param ledger_conn_id: common-sql connection of the audit ledger; by default the `pai` connection's, else an
        SQLite file in AIRFLOW_HOME. (templated)
    :returns: the artifact as a dict.
    """

    about = "Wait for artifact {artifact}"
    came = "Artifact {name} {version} is complete: {digest}"

    template_fields: Sequence[str] = ("artifact", "newer_than", "ledger_conn_id")

    def __init__(
        self,
        *,
        artifact: str | Mapping[str, Any] | XComArg,
        newer_than: str | None = None,
        ledger_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.artifact = artifact
        self.newer_than = newer_than
        self.ledger_conn_id = ledger_conn_id

    @property
    def uri(self) -> str:
        """Return the artifact's prefix.

        :raises PaiConfigError: it is neither an artifact nor an address.
        """
        described = required_artifact("artifact", self.artifact)
        return str(parse_uri("artifact", described.get("uri") if isinstance(described, Mapping) else described).folder)

    @property
    def digest(self) -> str:
        """Return the digest that is waited for; empty: any."""
        described = required_artifact("artifact", self.artifact)
        return str(described.get("digest") or "") if isinstance(described, Mapping) else ""

    @property
    def newer(self) -> str | None:
        """Return the time behind which the data must end, as text.

        :raises PaiConfigError: it is none.
        """
        unset = self.newer_than is None or (isinstance(self.newer_than, str) and not self.newer_than)
        return None if unset else utc_text(moment("newer_than", self.newer_than))

    def check(self) -> Json | None:
        """Read and verify the manifest."""
        from airflow_provider_pai.manifests import check_awaited, read_artifact

        try:
            return check_awaited(read_artifact(self.hook, self.uri), self.digest, self.newer).to_dict()
        except PaiArtifactError as error:
            self.log.info("Waiting: %s", error)
            return None

    def make_trigger(self, poll_interval: float, deadline: str) -> OssArtifactTrigger:
        """Return the trigger."""
        return OssArtifactTrigger(
            uri=self.uri,
            digest=self.digest,
            newer_than=self.newer,
            hook_arguments=self.hook_arguments,
            poll_interval=poll_interval,
            deadline=deadline,
        )

    def result(self, context: Any, found: Any) -> Json:
        """Record that the artifact was verified."""
        from airflow_provider_pai.ledger import Event, EventKind
        from airflow_provider_pai.ledger.task import TaskLedger

        artifact: Json = found
        event = Event(
            key=f"verified/{artifact['digest']}",
            kind=EventKind.ARTIFACT_VERIFIED,
            subject=artifact["name"],
            version=artifact["version"],
            digest=artifact["digest"],
            payload={"uri": artifact["uri"]},
        )
        TaskLedger(self.hook, self.ledger_conn_id, self.log).record(event, artifact["uri"])
        return artifact


def _facts(uris: list[str], found: Mapping[str, list[ObjectInfo]]) -> list[Json]:
    """Return what is known of objects as plain JSON."""
    infos = {str(info.uri): info for group in found.values() for info in group}
    return [
        {"uri": uri, "size": info.size, "etag": info.etag, "last_modified": info.last_modified.isoformat()}
        for uri in uris
        if (info := infos.get(uri))
    ]
