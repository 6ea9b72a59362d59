"""Home of a group's state on OSS: what its services say in a label, else the connection, else its first artifact."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.canary.weights import carriers
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.home import bucket_home, configured_home
from airflow_provider_pai.labels import Key, write_labels
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.canary.group import Group, Member
    from airflow_provider_pai.hooks.eas import EasHook


def home_labels(home: OssUri) -> dict[str, str]:
    """Return the label by which everybody who comes later finds a group's home."""
    return write_labels({Key.STATE: home})


def kept_home(group: Group, log: Any) -> OssUri | None:
    """Return the home that a group's services keep in a label.

    Rollouts of artifacts in two buckets exclude each other so, whichever came first.
    """
    for member in _by_age(group):
        try:
            return OssUri.parse(member.labels[Key.STATE]).folder
        except KeyError:
            continue
        except ValueError as error:
            log.warning("%s does not tell where the state of group %s lies: %s", member.name, group.name, error)
    return None


def home_of(eas: EasHook, group: Group, first: OssUri | None = None) -> OssUri:
    """Return a group's home.

    :param first: an artifact that is to be deployed; of a group that serves none yet it is the first.
    :raises PaiConfigError: nothing tells of a home.
    """
    configured, kept = configured_home(eas.connection), kept_home(group, eas.log)
    if kept is not None:
        if configured not in (None, kept):
            text = "Group %s keeps its state in %s, as its services say, not in state_uri %s"
            eas.log.warning(text, group.name, kept, configured)
        return kept
    bucket = None if configured else _mounted_bucket(eas, group) or (first and first.bucket)
    home = configured or (bucket_home(bucket) if bucket else None)
    if home is None:
        raise PaiConfigError("state_uri", None, f"a prefix on OSS: no service of group {group.name} mounts an artifact")
    return home


def check_usable(eas: EasHook, home: OssUri, group: str) -> None:
    """Refuse a home that can't be used, before anything is created; one that was chosen must not keep versions.

    :raises PaiConfigError: why not, and what to do.
    """
    oss = eas.sibling(OssHook)
    chosen = home == configured_home(eas.connection)
    if fault := (chosen and _versions(oss, home)) or _no_access(oss, home):
        raise PaiConfigError("state_uri" if chosen else f"state of group {group}", str(home), fault)


def _versions(oss: OssHook, home: OssUri) -> str:
    """Tell that a bucket keeps versions; who may not ask is not told."""
    try:
        status = oss.bucket_versioning(home.bucket)
    except PaiTransientError:
        raise
    except PaiApiError:
        return ""
    text = "each renewal of a lease would stay there for ever; name a bucket that never had versioning"
    return f"its versioning is {status}: {text}" if status else ""


def _no_access(oss: OssHook, home: OssUri) -> str:
    """Tell why a home can't be read and written: no bucket, another region, a permission; it is tried."""
    region = oss.connection.region
    try:
        next(oss.list_objects(home), None)
        probe = home.join(f"_check-{uuid.uuid4().hex}")
        if not oss.call("AppendObject", lambda: oss.put_once(probe, "x") or oss.head(probe)):
            return f"name a bucket that takes appends: {probe} was refused"
        oss.delete(probe)
    except PaiTransientError:
        raise
    except PaiPermissionError as error:
        return f"grant oss:ListObjects, GetObject, PutObject and DeleteObject on it, in region {region}: {error}"
    except PaiConfigError as error:
        return error.allowed
    except PaiApiError as error:
        return f"name a bucket that exists in region {region}: {error}"
    return ""


def _by_age(group: Group) -> list[Member]:
    """Return who serves, then the others, the older before the newer, as everybody sees it who sees both."""
    serving = carriers(group)
    return sorted(group.members, key=lambda member: (member not in serving, member.created, member.name))


def _mounted_bucket(eas: EasHook, group: Group) -> str | None:
    """Return the bucket of the artifact that a service mounts last, before others of one that serves."""
    for member in _by_age(group):
        config = json.loads(eas.describe(member.name).get("ServiceConfig") or "{}")
        for storage in reversed(config.get("storage") or []):
            if path := (storage.get("oss") or {}).get("path"):
                return OssUri.parse(path).bucket
    return None
