"""Home of our state: the one prefix on OSS below which everything lies that must be remembered outside the services.

::

    rollouts/<group>/    the group's lease (00000001.json, …) and each candidate's looks (<service>.jsonl)
    jobs/<version>/      what a job's end needs of its beginning
    pins/<digest>/       copies of the inputs that a job trained on
    ledger/<deployment>/<connection>/anchors/    heads of that ledger's chain
    ledger/<deployment>/<connection>/outbox/     rows that wait for that ledger

It is the connection's `state_uri`; without one, a group's state lies in the bucket of its first artifact, a job's and
its pinned inputs beside its output.
"""

from __future__ import annotations

from airflow_provider_pai.hooks.connection import PaiConnection
from airflow_provider_pai.labels import legal_name
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


def pins_folder(connection: PaiConnection, output: OssUri | None) -> OssUri | None:
    """Return where inputs are pinned; None: there is neither a home nor an output."""
    home = configured_home(connection)
    if home is not None:
        return home.join("pins").folder
    return output.join("_pins").folder if output else None


def ledger_folder(home: OssUri, deployment: str, conn_id: str | None) -> OssUri:
    """Return where that lies which belongs to one ledger: two Airflows may share a home, not a ledger.

    :param conn_id: its connection; None: it is a file.
    """
    return home.join("ledger", legal_name(deployment), legal_name(conn_id or "file")).folder
