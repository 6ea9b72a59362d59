"""Pinned inputs: copies within OSS that stay as they are, one folder for all who train on the same data.

::

    <digest>/data/            the copies, which jobs mount
    <digest>/uses/<version>   a job that was given them, and where its artifact was to lie
    <digest>/_pinned.json     written last: all are there
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Self

from airflow_provider_pai.artifact import MANIFEST_NAME, DatasetRef
from airflow_provider_pai.exceptions import PaiConflictError, PaiNotFoundError, PaiPermissionError, PaiTransferError
from airflow_provider_pai.hooks.oss.copy import copy_object
from airflow_provider_pai.hooks.oss.datasets import Listed, current_objects, difference, kept_list
from airflow_provider_pai.hooks.oss.folder import THREADS, paired
from airflow_provider_pai.hooks.oss.headers import write_headers
from airflow_provider_pai.hooks.oss.hook import OssHook
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.hooks.oss.parallel import in_parallel
from airflow_provider_pai.inputs import object_uri
from airflow_provider_pai.uri import OssUri


class Pin(NamedTuple):
    """The copy of an input.

    :param folder: bears the input's digest.
    """

    folder: OssUri

    @classmethod
    def of(cls, pins: OssUri, digest: str) -> Self:
        """Return where an input of a digest is pinned."""
        return cls(pins.join(digest.removeprefix("sha256:")).folder)

    @property
    def data(self) -> OssUri:
        """Return the prefix of the copies."""
        return self.folder.join("data").folder

    @property
    def marker(self) -> OssUri:
        """Return the object that is written when all copies are there."""
        return self.folder.join("_pinned.json")

    @property
    def uses(self) -> OssUri:
        """Return the prefix below which those stand who use it."""
        return self.folder.join("uses").folder

    def fill(
        self, oss: OssHook, ref: DatasetRef, kept: OssUri, *, version: str, artifact: str, record: str = ""
    ) -> None:
        """Copy an input's objects here unless they are; before anything is looked at it stands here who uses them.

        What another task copies at the same time is the same: two that pin the same data are both right.

        :param kept: address of the list of the objects.
        :param version: of the model that is to be trained.
        :param artifact: where it is to lie; empty: nowhere.
        :param record: where that lies which tells of it, if it is a dataset.
        :raises PaiTransferError: an object was replaced or removed since it was listed.
        """
        oss.put(self.uses.join(version), json.dumps({"artifact": artifact, "record": record}))
        if oss.head(self.marker) is not None:
            oss.log.info("Input %s is pinned at %s", ref.name, self.data)
            return
        oss.log.info("Pinning input %s: %d objects, %d bytes to %s", ref.name, ref.files, ref.size, self.data)
        self._copy(oss, OssUri.parse(ref.uri), kept_list(oss, kept, ref.digest))
        change = difference(kept_list(oss, kept, ref.digest), current_objects(oss, self.data), copies=True)
        if change.is_harmful or change.added:
            raise PaiTransferError(f"{self.data} is not what was copied there: {change}")
        oss.put(self.marker, json.dumps({"source": ref.uri, "files": ref.files, "size": ref.size}))

    def _copy(self, oss: OssHook, source: OssUri, items: Iterator[Listed]) -> None:
        # A bucket with versions does not heed it: there the same is written once more.
        headers = write_headers(overwrite=bool(oss.bucket_versioning(self.data.bucket)))

        def copy(item: Listed) -> None:
            here, to = source.join(item.key), object_uri("pin", self.data.join(item.key))
            try:
                copy_object(oss, here, to, version=item.version or None, headers=headers, etag=item.etag)
            except PaiConflictError:
                oss.log.debug("%s: another task has copied it", to)
            except PaiNotFoundError:
                raise PaiTransferError(f"{here} was removed before it was pinned") from None

        there = ((item.key, item) for item in current_objects(oss, self.data))
        pairs = paired(((item.key, item) for item in items), there)
        for _ in in_parallel(copy, (item for _, item, copied in pairs if item and not copied), THREADS):
            pass

    def user(self, oss: OssHook, since: datetime) -> str:
        """Return why it is to stay: a job has got it since a time, or an artifact of one is there; empty: nobody."""
        uses = list(oss.list_objects(self.uses))
        newest = max((info.last_modified for info in uses), default=None)
        if newest and newest >= since:
            return f"a job has got it at {newest.isoformat()}"
        return next(filter(None, (_artifact_left(oss, info) for info in reversed(uses))), "")

    def delete(self, oss: OssHook, since: datetime) -> bool:
        """Delete it unless a job gets it at this moment; tell whether it is gone.

        :param since: as of `user`.
        """
        marker = oss.get(self.marker) if oss.head(self.marker) else b""
        oss.delete(self.marker)
        # Who has found the marker stands among the users now; who comes from now on copies anew.
        if self.user(oss, since):
            if marker:
                oss.put(self.marker, marker)
            return False
        oss.delete_folder(self.folder)
        return True


def pins_below(oss: OssHook, pins: OssUri) -> list[Pin]:
    """Return what is pinned below a prefix."""
    return [Pin(folder) for folder in oss.list_folder(pins)[1]]


def _artifact_left(oss: OssHook, use: ObjectInfo) -> str:
    """Return the artifact of a job if it is there, or nobody can tell; empty: it is not."""
    try:
        told = json.loads(oss.get(use.uri))
        artifact, record = told.get("artifact"), told.get("record")
        is_model = artifact and oss.head(OssUri.parse(artifact).join(MANIFEST_NAME))
        if is_model or (record and oss.head(OssUri.parse(record))):
            return f"{artifact} was trained on it"
    except PaiNotFoundError:
        return ""
    except (PaiPermissionError, ValueError, AttributeError) as error:
        return f"{use.uri}: {error}"
    return ""
