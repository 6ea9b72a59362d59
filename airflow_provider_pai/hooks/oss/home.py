"""Home of our state: the one prefix on OSS below which everything lies that must be remembered outside the services.

::

    rollouts/<group>/    the group's lease (00000001.json, …) and each candidate's looks (<service>.jsonl)
    jobs/<version>/      what a job's end needs of its beginning
    ledger/              rows that wait for their ledger, and anchors of its chain

It is the connection's `state_uri`; without one, a group's state lies in the bucket of its first artifact and a job's
beside its output.
"""

from __future__ import annotations

import uuid

from airflow_provider_pai.exceptions import PaiApiError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.connection import PaiConnection
from airflow_provider_pai.hooks.oss.hook import OssHook
from airflow_provider_pai.uri import OssUri


def configured_home(connection: PaiConnection) -> OssUri | None:
    """Return the home that a connection names; None: it names none."""
    return OssUri.parse(connection.state_uri).folder if connection.state_uri else None


def bucket_home(bucket: str) -> OssUri:
    """Return the home in a bucket of artifacts."""
    return OssUri(bucket, ".pai/")


def rollout_folder(home: OssUri, group: str) -> OssUri:
    """Return where the lease and the looks of a group lie."""
    return home.join("rollouts", group).folder


def job_folder(home: OssUri, version: str) -> OssUri:
    """Return where that lies which a job's end needs of its beginning."""
    return home.join("jobs", version).folder


def check_home(oss: OssHook, *, write: bool = False) -> list[str]:
    """Return what is wrong with the connection's `state_uri`, and what to do; nothing where it names none.

    :param write: write an object there, too, and delete it again.
    :raises PaiTransientError: no answer came.
    """
    home = configured_home(oss.connection)
    if home is None:
        return []
    return [*version_faults(oss, home), *access_faults(oss, home, write=write)]


def version_faults(oss: OssHook, home: OssUri) -> list[str]:
    """Return why a bucket keeps versions; who may not ask is not told."""
    try:
        status = oss.bucket_versioning(home.bucket)
    except PaiTransientError:
        raise
    except PaiApiError:
        return []
    text = "each renewal of a lease would stay there for ever; name a bucket that never had versioning"
    return [f"versioning of bucket {home.bucket} is {status}: {text}"] if status else []


def access_faults(oss: OssHook, home: OssUri, *, write: bool = False) -> list[str]:
    """Return why a home can't be read, or written: no bucket, another region, a permission.

    :raises PaiTransientError: no answer came.
    """
    try:
        next(oss.list_objects(home), None)
        if write:
            probe = home.join(f"_check-{uuid.uuid4().hex}")
            oss.put_once(probe, "x")
            oss.delete(probe)
    except PaiTransientError:
        raise
    except PaiPermissionError as error:
        region = oss.connection.region
        return [f"grant oss:ListObjects, GetObject, PutObject and DeleteObject on it, in region {region}: {error}"]
    except PaiApiError as error:
        return [f"name a bucket that exists in region {oss.connection.region}: {error}"]
    return []
