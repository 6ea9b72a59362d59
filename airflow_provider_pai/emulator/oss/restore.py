"""Restores of archived objects: a restore takes a minute and lasts for some days. Rules of RestoreObject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.etree import ElementTree

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument
from airflow_provider_pai.emulator.oss.index import Attributes
from airflow_provider_pai.emulator.oss.xml import malformed
from airflow_provider_pai.emulator.queries import whole_number

TIERS = ("Expedited", "Standard", "Bulk")
FROZEN = ("Archive", "ColdArchive", "DeepColdArchive")
_DAY = 86_400
_MAX_DAYS = {"Archive": 7}
"""All colder classes: 365 [help: OSS, error codes 0016-00000708 and 0016-00000704]."""


@dataclass(frozen=True)
class Thaw:
    """The progress of a restore."""

    running: bool = False
    until: float = 0.0
    """Seconds since 1970; 0: there is none."""

    @classmethod
    def of(cls, attributes: Attributes, now: float, minute: float) -> Thaw:
        """Return the progress of an object's restore.

        :param now: seconds since 1970.
        :param minute: seconds that a restore takes.
        """
        if attributes.restored is None:
            return cls()
        begun, days = attributes.restored
        until = begun + days * _DAY
        return cls(now < begun + minute, until) if now < until else cls()

    def __str__(self) -> str:
        """Return the header `x-oss-restore`; empty where there is nothing to tell."""
        if not self.until:
            return ""
        if self.running:
            return 'ongoing-request="true"'
        moment = format_datetime(datetime.fromtimestamp(self.until, UTC), usegmt=True)
        return f'ongoing-request="false", expiry-date="{moment}"'


def check_readable(storage_class: str, thaw: Thaw) -> None:
    """Refuse to read an archived object that is not restored.

    :raises OssError: InvalidObjectState.
    """
    if storage_class in FROZEN and (thaw.running or not thaw.until):
        raise OssError(403, "InvalidObjectState", "The operation is not valid for the object's state")


def restored(attributes: Attributes, storage_class: str, thaw: Thaw, days: int, now: float) -> Attributes:
    """Return the attributes of an object that is to be restored; one that is restored is for longer.

    :raises OssError: OperationNotSupported, RestoreAlreadyInProgress.
    """
    if storage_class not in FROZEN:
        raise OssError(400, "OperationNotSupported", "The operation is not supported for this resource")
    if thaw.running:
        raise OssError(409, "RestoreAlreadyInProgress", "The restore operation is in progress.")
    begun = attributes.restored[0] if attributes.restored and thaw.until else now
    return replace(attributes, restored=(begun, days + int((now - begun) // _DAY)))


def read_request(root: ElementTree.Element | None, storage_class: str) -> tuple[int, Mapping[str, str]]:
    """Return the days of a RestoreRequest, and the headers of the answer.

    :raises OssError: MalformedXML, InvalidArgument.
    """
    if root is None:
        return 1, {}
    days, tier = whole_number(root.findtext("Days") or "1"), root.findtext("JobParameters/Tier")
    if (
        days is None
        or not 1 <= days <= _MAX_DAYS.get(storage_class, 365)
        or (tier is not None and storage_class == "Archive")
    ):
        raise malformed()
    if tier is not None and tier not in TIERS:
        raise invalid_argument(f"Tier must be one of {', '.join(TIERS)}.", "Tier", tier)
    return days, {"x-oss-object-restore-priority": tier or "Standard"} if storage_class != "Archive" else {}
