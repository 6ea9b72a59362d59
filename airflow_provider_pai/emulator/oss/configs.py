"""Configurations of buckets: documents that are checked, kept as they are and handed out again.

Kept and handed out, not acted upon, but for versioning, the ACL and encryption: no object expires, no log is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from xml.etree import ElementTree

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument
from airflow_provider_pai.emulator.oss.xml import Pair, document, malformed, parse, serialized
from airflow_provider_pai.emulator.queries import whole_number

ACLS = ("private", "public-read", "public-read-write")
ALGORITHMS = ("AES256", "KMS", "SM4")
_STATUSES = ("Enabled", "Suspended")
_TAG_TEXT = re.compile(r"[\w\s+\-=.:/]*")
# From the warmest to the coldest: transitions go one way, each later than the one before.
_COLDER = ("IA", "Archive", "ColdArchive", "DeepColdArchive")

_Headers = Mapping[str, str]
_Check = Callable[[ElementTree.Element, _Headers], None]


@dataclass(frozen=True)
class Config:
    """One kind of configuration."""

    root: str
    """Root of the document."""
    check: _Check = lambda root, headers: None
    """Refuses what OSS refuses."""
    missing: tuple[str, str] | None = None
    """Code and message where none was put; None: the document below."""
    default: tuple[Pair, ...] = ()
    filled: tuple[tuple[str, str], ...] = ()
    """Elements that OSS adds where they are left out."""
    content_type: str = "application/xml"

    def read(self, body: bytes, headers: _Headers) -> bytes:
        """Return a document to keep.

        :raises OssError: it is not well-formed, or has a value that is not allowed.
        """
        root = parse(body, self.root)
        self.check(root, headers)
        missing = [(tag, text) for tag, text in self.filled if root.find(tag) is None]
        if not missing:
            return body
        for tag, text in missing:
            ElementTree.SubElement(root, tag).text = text
        return serialized(root)

    def shown(self, body: bytes | None) -> bytes:
        """Return the document that was kept, or what stands for none.

        :raises OssError: none was put, and there is no default.
        """
        if body is not None:
            return body
        if self.missing:
            raise OssError(404, *self.missing)
        return document(self.root, *self.default)


class _Policy(Config):
    """The only one that is JSON."""

    def read(self, body: bytes, headers: _Headers) -> bytes:
        try:
            json.loads(body)
        except ValueError as error:
            raise OssError(400, "InvalidPolicyDocument", "The policy is not in the JSON format.") from error
        return body


def encryption_rule(algorithm: str, key_id: str, data_algorithm: str) -> list[Pair]:
    """Return the elements of an encryption rule.

    :raises OssError: InvalidEncryptionAlgorithmError, InvalidArgument.
    """
    if algorithm not in ALGORITHMS:
        raise OssError(400, "InvalidEncryptionAlgorithmError", "The Encryption request you specified is not valid.")
    if key_id and algorithm != "KMS":
        raise invalid_argument("KMSMasterKeyID is not applicable if user is not using KMS", "KMSMasterKeyID", key_id)
    elements = {"SSEAlgorithm": algorithm, "KMSMasterKeyID": key_id, "KMSDataEncryption": data_algorithm}
    return [(name, value) for name, value in elements.items() if value]


def encryption_of(body: bytes | None) -> dict[str, str]:
    """Return the elements of a bucket's encryption rule; empty where there is none."""
    if body is None:
        return {}
    rule = ElementTree.fromstring(body).find("ApplyServerSideEncryptionByDefault")  # noqa: S314 - checked when put
    return {each.tag: each.text for each in rule if each.text} if rule is not None else {}


def tags_of(body: bytes | None) -> dict[str, str]:
    """Return a bucket's tags."""
    root = ElementTree.fromstring(body) if body else ElementTree.Element("Tagging")  # noqa: S314 - checked when put
    return {each.findtext("Key") or "": each.findtext("Value") or "" for each in root.iter("Tag")}


def _check_encryption(root: ElementTree.Element, _: _Headers) -> None:
    rule = root.find("ApplyServerSideEncryptionByDefault")
    if rule is None:
        raise malformed()
    encryption_rule(*(rule.findtext(name) or "" for name in ("SSEAlgorithm", "KMSMasterKeyID", "KMSDataEncryption")))


def _check_versioning(root: ElementTree.Element, _: _Headers) -> None:
    if root.findtext("Status") not in _STATUSES:
        raise malformed()


def _check_capacity(root: ElementTree.Element, _: _Headers) -> None:
    _check_number(root, "StorageCapacity", -1)


def _check_cors(root: ElementTree.Element, _: _Headers) -> None:
    for rule in root.findall("CORSRule"):
        _check_number(rule, "MaxAgeSeconds", 0)


def _check_number(root: ElementTree.Element, name: str, least: int) -> None:
    if (text := root.findtext(name)) is not None:
        _number(name, text, least)


def _number(name: str, text: str, least: int = 1) -> int:
    number = whole_number(text)
    if number is None or number < least:
        raise invalid_argument(f"The value of {name} is not valid.", name, text)
    return number


def _check_lifecycle(root: ElementTree.Element, headers: _Headers) -> None:
    rules = root.findall("Rule")
    if not rules:
        raise malformed()
    for rule in rules:
        _check_rule(rule)
    if headers.get("x-oss-allow-same-action-overlap", "").lower() != "true":
        for left, right in combinations(rules, 2):
            _check_overlap(left, right)


def _check_rule(rule: ElementTree.Element) -> None:
    for tag in rule.iter("Tag"):
        if not _TAG_TEXT.fullmatch((tag.findtext("Key") or "") + (tag.findtext("Value") or "")):
            raise OssError(400, "InvalidTag", "The tag you provided is not valid.")
    transitions = rule.findall("Transition")
    timed = [each for each in (rule.find("Expiration"), *transitions) if each is not None]
    if len({kind for each in timed for kind in ("Days", "CreatedBeforeDate") if each.find(kind) is not None}) > 1:
        raise OssError(400, "InvalidRequest", "Days and CreatedBeforeDate can't be mixed in one rule.")
    _check_order(transitions, rule.findtext("Expiration/Days"))


def _check_order(transitions: list[ElementTree.Element], expires: str | None) -> None:
    """Check that an object is moved to colder classes only, each later than the one before, and then expires."""
    days: dict[str, int] = {}
    for each in transitions:
        storage_class = each.findtext("StorageClass") or ""
        if storage_class not in _COLDER:
            raise invalid_argument("The StorageClass of a Transition is not valid.", "StorageClass", storage_class)
        if after := each.findtext("Days"):
            days[storage_class] = _number("Days", after)
    rising = [days[name] for name in _COLDER if name in days] + ([_number("Days", expires)] if expires else [])
    if any(left >= right for left, right in pairwise(rising)):
        raise invalid_argument("Days must rise from each Transition to the next and to the Expiration.")


def _check_overlap(left: ElementTree.Element, right: ElementTree.Element) -> None:
    prefixes = [rule.findtext("Prefix") or "" for rule in (left, right)]
    if not (prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0])):
        return
    for action in ("Expiration", "Transition", "AbortMultipartUpload"):
        if left.find(action) is not None and right.find(action) is not None:
            raise invalid_argument(f"Overlap for same action type {action}")


CONFIGS: Mapping[str, Config] = {
    "cors": Config(
        "CORSConfiguration",
        _check_cors,
        ("NoSuchCORSConfiguration", "The CORS Configuration does not exist."),
        filled=(("ResponseVary", "false"),),
    ),
    "encryption": Config(
        "ServerSideEncryptionRule",
        _check_encryption,
        ("NoSuchServerSideEncryptionRule", "The server side encryption rule does not exist."),
    ),
    "lifecycle": Config(
        "LifecycleConfiguration", _check_lifecycle, ("NoSuchLifecycle", "No Row found in Lifecycle Table.")
    ),
    "logging": Config("BucketLoggingStatus"),
    "policy": _Policy(
        "", missing=("NoSuchBucketPolicy", "The bucket policy does not exist."), content_type="application/json"
    ),
    "qos": Config("BucketUserQos", _check_capacity, default=(("StorageCapacity", -1),)),
    "referer": Config(
        "RefererConfiguration",
        default=(("AllowEmptyReferer", True), ("RefererList", [])),
        filled=(("AllowTruncateQueryString", "true"),),
    ),
    "tagging": Config("Tagging", default=(("TagSet", []),)),
    "versioning": Config("VersioningConfiguration", _check_versioning),
}
