"""Labels on services and tags on jobs: keys, legal values, and the records that are kept in them.

DLC calls them tags, DSW and EAS labels; keys and values are the same. What is legal is Alibaba Cloud's rule for tags:
that of DSW ("ALIYUN::PaiDswApi::Instance" of ROS), of EAS, whose labels are tags, and maybe of DLC.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Self

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import text_mapping
from airflow_provider_pai.schemas import LABELS
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import ModelArtifact

MAX_LABELS = 20
"""Labels that one resource can bear."""

MAX_CHARACTERS = 128
"""Of a key, and of a value."""

_EMPTY = "-"
_OURS = "airflow_"

_RESERVED = re.compile("aliyun|acs:", re.IGNORECASE)
_SCHEME = re.compile(r"\A(?:https?:/{2,})+|(https?:/)/+", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)
_CHANGED = re.compile(r"-[0-9a-f]{8}\Z")
_ALLOWED = (
    f"a key of 1 and a value of 0 to {MAX_CHARACTERS} characters, neither beginning with aliyun or acs: nor holding "
    "http:// or https://"
)


# Plain texts, and in the modules of named tuples annotations that are evaluated: an enum, and each annotation that
# typing has to compile from its text, costs every DAG file that is parsed.
class Key:
    """Every key."""

    TASK = "airflow_task"
    """Hash of the task instance."""
    CYCLE = "airflow_cycle"
    GENERATION = "airflow_generation"

    LASTS = "airflow_lasts"
    """Of a DSW instance that outlives the task that made it: `UNTIL_RUN_ENDS` or `UNTIL_STOPPED`."""

    # For people and for the search for orphans; long ones are cut.
    DEPLOYMENT = "airflow_deployment"
    DAG_ID = "airflow_dag_id"
    RUN_ID = "airflow_run_id"
    TASK_ID = "airflow_task_id"
    MAP_INDEX = "airflow_map_index"

    # The model that a service serves.
    VERSION = "airflow_version"
    DIGEST = "airflow_digest"
    INTERVAL_END = "airflow_interval_end"

    # A rollout's progress.
    PHASE = "airflow_phase"
    STABLE = "airflow_stable"
    SINCE = "airflow_since"
    """Of a shadow: when the copying began."""
    COUNTS = "airflow_counts"
    """With the number of the schema before, and the time at which the phase or step began behind."""
    OUTCOME = "airflow_outcome"
    NOTE = "airflow_note"
    REJECTED = "airflow_rejected"
    RESULTS = "airflow_results"
    """With a number behind it: the results of a few steps each."""

    # A deployment in place.
    CONFIG = "airflow_config"
    BEFORE = "airflow_before"
    LATEST = "airflow_latest"
    CONFIG_VERSION = "airflow_config_version"

    STATE = "airflow_state"
    """Address of the home of the group's state on OSS."""
    SCHEMA = "airflow_schema"
    """Number of the schema of all these."""
    MARK = "airflow_mark"
    SHADOW_OF = "airflow_shadow_of"
    """The service whose requests a shadow gets."""
    SMOKE = "airflow_smoke"
    """Hash of the deployment whose smoke round made it."""
    READY = "airflow_ready"
    """When a shadow was ready and its gateway did not reach it yet."""


UNTIL_RUN_ENDS, UNTIL_STOPPED = "run", "stop"
"""Values of `Key.LASTS`: until the DAG run has ended, or until somebody stops it."""

_DISPENSABLE = (Key.DEPLOYMENT, Key.MAP_INDEX, Key.TASK_ID, Key.RUN_ID, Key.DAG_ID, Key.NOTE)
"""What nobody reads but people and the search for orphans, least needed first."""


def legal(text: str) -> str:
    """Return a text as a label's value can have it; a legal text stays as it is, and one that is cut ends in `…`."""
    fitting = _SCHEME.sub(r"\1", text)
    if _RESERVED.match(fitting):
        fitting = f"/{fitting}"  # what no id of Airflow's begins with
    if len(fitting) > MAX_CHARACTERS:
        return f"{fitting[: MAX_CHARACTERS - 1]}…"
    return fitting or _EMPTY


def legal_name(text: str) -> str:
    """Return what names something as a label's value; one that has to be changed ends in a hash of what it was.

    So no two names look alike, whoever compares them.
    """
    value = legal(text)
    if value == text or not text:
        return value
    mark = f"-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"
    return value[: MAX_CHARACTERS - len(mark)] + mark


def beginning(value: str) -> str:
    """Return what an id begins with whose legal name this is."""
    return _CHANGED.sub("", value).removeprefix("/")


def is_ours(key: str) -> bool:
    """Tell whether the provider writes a label."""
    return key.startswith(_OURS)


def read_number(text: str) -> int:
    """Return a number that was written as a label.

    :raises ValueError: it is none that the provider writes, though Python might take it.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number of ours")
    return int(text)


def read_moment(text: str) -> float:
    """Return the Unix time of an ISO 8601 text that was written as a label.

    :raises ValueError: it is none, or names no time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return moment.timestamp()


def checked_labels(field: str, given: object, own: Collection[str]) -> dict[str, str]:
    """Return the labels that a user gives to a resource beside the provider's.

    :param own: keys of all that the provider writes there.
    :raises PaiConfigError: one is not legal or the provider's, or there is no room for them.
    """
    labels = text_mapping(field, given)
    for key, value in labels.items():
        if is_ours(key):
            raise PaiConfigError(f"{field}[{key!r}]", value, f"keys that begin with {_OURS} are the provider's own")
        if not key or legal(key) != key or (value and legal(value) != value):
            raise PaiConfigError(f"{field}[{key!r}]", value, _ALLOWED)
    if len(labels) > (room := MAX_LABELS - len(own)):
        allowed = f"{room} labels: a resource bears {MAX_LABELS}, and {len(own)} are the provider's"
        raise PaiConfigError(field, sorted(labels), allowed)
    return labels


def fitted(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels that are too many for a resource without as many as need be of those that only people read."""
    spare = [key for key in _DISPENSABLE if key in labels][: max(0, len(labels) - MAX_LABELS)]
    return {key: value for key, value in labels.items() if key not in spare}


def schema_label() -> dict[str, str]:
    """Return the label that tells by which schema the others are written.

    It stands on whatever is made but a rollout's service, which has no room for it; nothing is searched by it, since
    what an older version has made must be found.
    """
    return {Key.SCHEMA: str(LABELS.number)}


def check_schema(labels: Mapping[str, str]) -> None:
    """Refuse labels of a later version; only what brings no way back may ask for it.

    :raises PaiVersionError: they are.
    """
    LABELS.check(labels.get(Key.SCHEMA))


def write_labels(values: Mapping[str, object]) -> dict[str, str]:
    """Return values as labels; an empty one is written, too, so that an update that merges clears it."""
    return {str(key): legal(str(value)) for key, value in values.items()}


def read_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the texts that were written; a long one comes back cut."""
    return {key: "" if value == _EMPTY else value for key, value in labels.items()}


class Owner(NamedTuple):
    """The task that made something, in the cycle in which it did."""

    task: str
    """Hash of the task instance."""
    cycle: int

    def __str__(self) -> str:
        """Return `task/cycle`, which keys of other things hold."""
        return f"{self.task}/{self.cycle}"

    def labels(self) -> dict[str, str]:
        """Return the labels by which the task finds it again."""
        return write_labels({Key.TASK: self.task, Key.CYCLE: self.cycle})


class ServedModel(NamedTuple):
    """The model that a service serves; empty texts: unknown."""

    version: str = ""
    digest: str = ""
    interval_end: str = ""
    """ISO 8601."""

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Self:
        """Read a service's labels."""
        text = read_labels(labels)
        return cls(
            version=text.get(Key.VERSION, ""),
            digest=text.get(Key.DIGEST, ""),
            interval_end=text.get(Key.INTERVAL_END, ""),
        )

    def labels(self) -> dict[str, str]:
        """Return the labels."""
        return write_labels({Key.VERSION: self.version, Key.DIGEST: self.digest, Key.INTERVAL_END: self.interval_end})


def artifact_labels(artifact: "ModelArtifact | None") -> dict[str, str]:
    """Return the labels of a service that serves an artifact; none where it serves none."""
    if artifact is None:
        return {}
    interval_end = utc_text(artifact.interval_end)
    return ServedModel(version=artifact.version, digest=artifact.digest, interval_end=interval_end).labels()


class Deployment(NamedTuple):
    """What a deployment in place has asked of a service. Versions are EAS's numbers, which begin at 1; 0: none."""

    config: str = ""
    """Hash of the service JSON that was asked for; empty: it was taken back."""
    before: int = 0
    """The version that served before."""
    latest: int = 0
    """The highest version when the JSON was asked for."""
    config_version: int = 0
    """The version that became ready with the JSON; 0: not yet."""

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Self | None:
        """Read a service's labels; None where they tell of no deployment."""
        text = read_labels(labels)
        try:
            return cls(
                config=text[Key.CONFIG],
                before=int(text[Key.BEFORE]),
                latest=int(text[Key.LATEST]),
                config_version=int(text[Key.CONFIG_VERSION] or 0),
            )
        except (KeyError, ValueError):
            return None

    def labels(self) -> dict[str, str]:
        """Return the labels."""
        return write_labels(
            {
                Key.CONFIG: self.config,
                Key.BEFORE: self.before,
                Key.LATEST: self.latest,
                Key.CONFIG_VERSION: self.config_version or "",
            }
        )

    @property
    def pending(self) -> bool:
        """Tell whether what was asked for has not become ready yet, nor was taken back."""
        return bool(self.config) and not self.config_version

    def is_for(self, config: str, *, version: int, latest: int) -> bool:
        """Tell whether a service has this JSON, or rolls to it: nobody has changed it since it was asked for.

        :param version: the version that serves.
        :param latest: the highest version.
        """
        if self.config != config:
            return False
        # No label tells which version the request made. It made one if there is a higher one than before it, and
        # nobody has come in between if that is the one that serves.
        return version == latest > self.latest if self.pending else version == self.config_version

    def served_before(self, version: int) -> int:
        """Return the version to go back to: that which serves, or served before a change that nobody has finished."""
        return self.before if self.pending else version


class Mark(NamedTuple):
    """The choice of a service to go back to: whose it is, and what a retry needs to go on with it."""

    owner: Owner
    replaced: str = ""
    """The service whose traffic it takes."""
    target: int = 0
    """Of a service that goes back to a version of its own: EAS's number of it."""
    before: int = 0
    """The version that served."""
    versions: int = 0
    """How many there were."""

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Self | None:
        """Read a service's labels; None where nobody has chosen it."""
        try:
            owner, replaced, *numbers = labels.get(Key.MARK, "").split()
            task, _, cycle = owner.rpartition("/")
            target, before, versions = map(int, numbers)
            return cls(
                owner=Owner(task=task, cycle=int(cycle)),
                replaced="" if replaced == _EMPTY else replaced,
                target=target,
                before=before,
                versions=versions,
            )
        except ValueError:
            return None

    def labels(self) -> dict[str, str]:
        """Return the label: `<task>/<cycle> <replaced> <target> <before> <versions>`."""
        parts = (self.owner, self.replaced or _EMPTY, self.target, self.before, self.versions)
        return write_labels({Key.MARK: " ".join(map(str, parts))})


class Shadow(NamedTuple):
    """A service that gets copies of another one's requests."""

    source: str
    """The service whose requests are copied."""
    since: str = ""
    """ISO 8601, when the copying began; empty: not yet."""
    ready: str = ""
    """ISO 8601, since when it is ready, but its gateway answers in its place; empty: it does not."""

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Self | None:
        """Read a service's labels; None for one that is no shadow. A time that can't be read is none."""
        text = read_labels(labels)
        source, since, ready = (text.get(key, "") for key in (Key.SHADOW_OF, Key.SINCE, Key.READY))
        return cls(source=source, since=_moment_or_none(since), ready=_moment_or_none(ready)) if source else None

    def labels(self) -> dict[str, str]:
        """Return the labels."""
        return write_labels({Key.SHADOW_OF: self.source, Key.SINCE: self.since, Key.READY: self.ready})


def _moment_or_none(text: str) -> str:
    try:
        read_moment(text)
    except ValueError:
        return ""
    return text
