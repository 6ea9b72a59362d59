"""Access: of whoever signs, as RAM policies allow it; of all others, as the ACL of the object or bucket does.

Rules of "RAM Policy", of "ACLs", and of each operation's page of OSS, section "Permissions".
"""

from __future__ import annotations

from urllib.parse import unquote

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument, not_allowed
from airflow_provider_pai.emulator.oss.routes.call import OssCall

OBJECT_ACLS = ("default", "private", "public-read", "public-read-write")
_READS = ("GET", "HEAD")
# Whoever may read a bucket may list it; its configurations are the owner's alone.
_LISTINGS = ({"list-type"}, {"uploads"}, {"versions"})
_COPY_SOURCE = "x-oss-copy-source"


def check_allowed(call: OssCall, permission: str) -> None:
    """Refuse a signed request that RAM does not allow to its signer.

    :param permission: the operation's RAM action; that of one version, of tags and of a copy's source follow from it.
    :raises OssError: AccessDenied, InvalidArgument.
    """
    check_action(call, _of_version(permission, call.query.get("versionId")), call.bucket, call.key)
    if permission == "oss:PutObject" and call.headers.get("x-oss-tagging"):
        check_action(call, "oss:PutObjectTagging", call.bucket, call.key)
    if permission == "oss:PutObject" and _COPY_SOURCE in call.headers:
        bucket, key, version = source_of(call)
        check_action(call, _of_version("oss:GetObject", version), bucket, key)


def check_action(call: OssCall, action: str, bucket: str, key: str) -> None:
    """Refuse one action on a bucket or object that RAM does not allow to the signer.

    :raises OssError: AccessDenied.
    """
    account = call.oss.account
    if call.signer is None:
        return
    resource = f"acs:oss:{account.settings.region}:{account.settings.account_id}:{bucket or '*'}"
    denial = account.denial(call.signer, action, f"{resource}/{key}" if key else resource)
    if denial:
        raise not_allowed(denial.detail(account.settings.account_id, call.signer))


def source_of(call: OssCall) -> tuple[str, str, str | None]:
    """Return bucket, key and version of the object that a copy reads.

    :raises OssError: InvalidArgument.
    """
    path, separator, version = call.headers[_COPY_SOURCE].partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key or (separator and not version):
        raise invalid_argument("Copy Source must mention the source bucket and key: /sourcebucket/sourcekey.")
    return bucket, key, version or None


def _of_version(action: str, version: str | None) -> str:
    return action.replace("Object", "ObjectVersion", 1) if version else action


def check_anonymous(call: OssCall, selected: list[str]) -> None:
    """Refuse an unsigned request that the ACL does not let through.

    :param selected: the sub-resources that select the operation.
    :raises OssError: NoSuchBucket, AccessDenied.
    """
    if not call.bucket:
        raise _denied("Anonymous access is forbidden for this operation.")
    acl = call.oss.bucket(call.bucket).acl
    stored = call.oss.files.find(call.bucket, call.key) if call.key else None
    if stored is not None and stored.attributes.acl != "default":
        acl = stored.attributes.acl
    allowed = {"public-read": _READS, "public-read-write": (*_READS, "PUT", "POST", "DELETE")}.get(acl, ())
    of_the_owner = {"acl", "tagging"} & set(selected) if call.key else selected and set(selected) not in _LISTINGS
    if call.request.method not in allowed or of_the_owner or not (call.key or call.request.method in _READS):
        raise _denied("You have no right to access this object because of bucket acl.")


def _denied(message: str) -> OssError:
    return OssError(403, "AccessDenied", message)
