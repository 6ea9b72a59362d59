"""World: the facts of the cloud that no document tells, each a switch of the emulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

FACTS_VERSION = 1
"""Version of a file of facts, as `airflow pai check --smoke` writes it."""


def _switch(default: Any, *others: Any, says: str) -> Any:
    """Declare a switch: its default, its other positions, and what it stands for."""
    return field(default=default, metadata={"allowed": (default, *others), "says": says})


@dataclass(frozen=True, kw_only=True)
class World:
    """One cloud that is possible: a position for each switch. The defaults are the likeliest."""

    label_values: str = _switch(
        "refused", "cut", "free", says="A DSW or EAS label that breaks the tag rule: refused, made to fit, or kept."
    )
    oss_kms_append: str = _switch(
        "taken", "refused", says="What AppendObject does in a bucket that encrypts by a KMS key of the user's own."
    )
    oss_copy_etag: str = _switch(
        "md5", "own", says="ETag of what CopyObject makes: the MD5 of its bytes, as PutObject's, or a value of its own."
    )
    dlc_tags: str = _switch("free", "ruled", says="Whether the tag rule holds for DLC's Settings.Tags, too.")
    dlc_list_days: int = _switch(
        0, 30, 7, says="Longest time, in days, that ListJobs and ListTensorboards may be asked for; 0: any."
    )
    dlc_list_page: int = _switch(100, 50, says="Largest PageSize of ListJobs.")
    dlc_time_limit: str = _switch("Stopped", "Failed", says="Status of a job that reached JobMaxRunningTimeMinutes.")
    dlc_stop_creating: str = _switch(
        "accepted", "refused", says="Whether StopJob is taken before a job is Queuing or Running."
    )
    dlc_too_large: str = _switch(
        "waits",
        "fails",
        says="What a job that is larger than its quota does: fails with ResourceAllocateFailed.",
    )
    dlc_shell: str = _switch("bash", "sh", says="Shell that runs a job's UserCommand.")
    dsw_refusal: str = _switch(
        "status", "body", says="Where DSW puts a refusal: the HTTP status, or Success=false in a body with 200."
    )
    dsw_on_start: str = _switch(
        "beside", "blocking", says="Whether an instance is Running beside its on-start command, or only after it."
    )
    dsw_on_start_size: int = _switch(0, 1024, says="Most characters of an on-start command; 0: any number.")
    dsw_user: str = _switch("root", "user", says="Who runs the on-start command.")
    dsw_missing_prefix: str = _switch(
        "mounted", "fails", says="What a mount of an OSS prefix does that no object has: mounts empty, or fails."
    )
    dsw_timer: str = _switch(
        "early", "running", says="From when on an instance takes a shutdown timer: from its making, or once it runs."
    )
    image_names: str = _switch(
        "once",
        "again",
        says="Whether a workspace has a name of AddImage once, or again: its English and its Chinese page differ.",
    )
    eas_group_key: str = _switch(
        "metadata.group",
        "metadata.service_group",
        "ignored",
        says="Key of the service JSON that puts a service into a group; ignored: none does.",
    )
    eas_member_traffic: str = _switch("standalone", "grouping", says="TrafficState of a new member of a service group.")
    eas_weight_zero: str = _switch("nothing", "little", says="Traffic that a released member of weight 0 gets.")
    eas_weight_standalone: str = _switch(
        "kept", "lost", says="What becomes of a member's weight when it is released as standalone."
    )
    eas_scaling: str = _switch("in_place", "new_version", says="Whether a new number of instances is a new version.")
    eas_merge: str = _switch(
        "deep", "top", says="What UpdateType=merge merges: every level, or top-level objects whole."
    )
    eas_versions: str = _switch("newest_first", "oldest_first", says="Order of ListServiceVersions.")
    eas_duplicate_code: str = _switch(
        "409 ResourceAlreadyExist",
        "400 InvalidParameter.ServiceName",
        "403 Forbidden.PrivilegeCheckFailed",
        says="Answer of CreateService to a name that is taken.",
    )
    eas_ram_role: str = _switch("taken", "ignored", says="Whether options.enable_ram_role takes effect.")
    eas_image_only: str = _switch(
        "accepted", "refused", says="Whether a container without command and script is accepted."
    )
    eas_exit_reason: str = _switch(
        "instances",
        "containers",
        says="Which list tells why a container ended.",
    )
    cms_namespace: str = _switch("acs_pai_eas", "acs_learn", says="CloudMonitor's namespace of EAS.")
    cms_statistics: str = _switch(
        "Average", "Value", "Maximum", says="The statistic that a point of CloudMonitor's bears."
    )
    cms_refusal: str = _switch(
        "status", "body", says="Where CloudMonitor puts a refusal: the HTTP status, or Success=false in a 200."
    )

    registry: str = _switch(
        "open",
        "token",
        "login",
        says="To whom an image's registry tells its digest: anybody, by a token, or a login.",
    )
    ram_refusal: str = _switch(
        "detailed", "bare", says="Whether a PAI API names the RAM action that is missing, in AccessDeniedDetail."
    )

    def changed(self, changes: Mapping[str, Any]) -> World:
        """Return this world with other positions of some switches.

        :raises ValueError: naming the switch that there is not, or the value and what is allowed.
        """
        switches = {each.name: each for each in fields(self)}
        for name, value in changes.items():
            if name not in switches:
                raise ValueError(f"{name!r} is not one of {', '.join(switches)}")
            allowed = switches[name].metadata["allowed"]
            if not any(value == each and type(value) is type(each) for each in allowed):
                raise ValueError(f"{name}: {value!r} is not one of {', '.join(map(repr, allowed))}")
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the position of each switch as JSON."""
        return asdict(self)

    @classmethod
    def of_facts(cls, path: Path) -> World:
        """Read what was seen of a cloud: `{"version": 1, "facts": {switch: position}}`.

        :raises ValueError: it is none such file, of another version, or names what this emulator does not have.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"The facts in {path} can't be read: {error}.") from error
        version = content.get("version") if isinstance(content, dict) else None
        if version != FACTS_VERSION:
            raise ValueError(f"The facts in {path} are of version {version!r}; this emulator reads {FACTS_VERSION}.")
        if not isinstance(content.get("facts"), dict):
            raise ValueError(f"The facts in {path}: `facts` is no object.")  # noqa: TRY004 - a file's content
        return cls().changed(content["facts"])
