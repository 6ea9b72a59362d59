"""Home of our state: the one prefix on OSS below which everything lies that must be remembered outside the services.

::

    rollouts/<group>/    the group's lease (00000001.json, …) and each candidate's looks (<service>.jsonl)
    jobs/<version>/      what a job's end needs of its beginning
    ledger/              left free for rows that wait for their ledger, and for anchors of its chain

It is the connection's `state_uri`; without one, a group's state lies in the bucket of its first artifact and a job's
beside its output.
"""

from __future__ import annotations

from airflow_provider_pai.hooks.connection import PaiConnection
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
