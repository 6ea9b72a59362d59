"""Access without a signature, as the ACL of the object, else of its bucket, allows it. Rules of "ACLs" of OSS."""

from __future__ import annotations

from airflow_provider_pai.emulator.oss.errors import OssError
from airflow_provider_pai.emulator.oss.routes.call import OssCall

OBJECT_ACLS = ("default", "private", "public-read", "public-read-write")
_READS = ("GET", "HEAD")
# Whoever may read a bucket may list it; its configurations are the owner's alone.
_LISTINGS = ({"list-type"}, {"uploads"}, {"versions"})


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
