"""Statuses of remote resources as data: one row a kind of resource, with what each status means to whoever waits."""

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What a status means to a waiting task."""

    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Not in the table: keeps waiting, with a warning, until the deadline."""


class States(NamedTuple):
    """The statuses of one kind of resource.

    Each status is active, succeeded or failed; the others are subsets that answer a further question.

    :param starting: active; a start that was asked for is under way.
    :param stopping: active; the resource is on its way out.
    :param deleting: stopping; it is on its way out for good.
    :param resting: failed; nothing runs, and it can be started again.
    :param stopped: resting; that is where a stop leaves it. Whoever has just asked for a start may see it still.
    :param lasting: succeeded; it runs on, and costs, until somebody ends it.
    """

    kind: str
    active: frozenset[str]
    succeeded: frozenset[str]
    failed: frozenset[str]
    starting: frozenset[str] = frozenset()
    stopping: frozenset[str] = frozenset()
    deleting: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    lasting: frozenset[str] = frozenset()

    def goes_on(self, status: str) -> bool:
        """Tell whether what has a status runs until somebody ends it, and nobody does yet."""
        return status in self.lasting or not (self.is_final(status) or status in self.stopping)

    @property
    def broken(self) -> frozenset[str]:
        """Return the statuses that no stop leads to: it failed for good."""
        return self.failed - self.stopped

    def judge(self, status: str) -> Verdict:
        """Return what a status means."""
        for verdict, statuses in (
            (Verdict.ACTIVE, self.active),
            (Verdict.SUCCEEDED, self.succeeded),
            (Verdict.FAILED, self.failed),
        ):
            if status in statuses:
                return verdict
        return Verdict.UNKNOWN

    def is_final(self, status: str) -> bool:
        """Tell whether a status will not change by itself."""
        return self.judge(status) in (Verdict.SUCCEEDED, Verdict.FAILED)


# alibabacloud_pai_dlc20201203 GetJobResponseBody.status
DLC_JOB = States(
    kind="DLC job",
    active=frozenset("Creating Queuing Bidding EnvPreparing SanityChecking Running Restarting Stopping".split()),
    succeeded=frozenset({"Succeeded", "SucceededReserving"}),
    failed=frozenset({"Failed", "FailedReserving", "Stopped"}),
    stopping=frozenset({"Stopping"}),
    stopped=frozenset({"Stopped"}),
)

# alibabacloud_pai_dlc20201203 GetJobResponseBodyPods.status
DLC_POD = States(
    kind="DLC pod",
    active=frozenset({"Pending", "Running", "Unknown"}),
    succeeded=frozenset({"Succeeded"}),
    failed=frozenset({"Failed"}),
)

# alibabacloud_pai_dlc20201203 ListTensorboardsRequest.status; success is the page that is up.
DLC_TENSORBOARD = States(
    kind="TensorBoard",
    active=frozenset({"Creating"}),
    succeeded=frozenset({"Running"}),
    failed=frozenset({"Failed", "Stopped", "Succeeded"}),
    resting=frozenset({"Failed", "Stopped", "Succeeded"}),
    stopped=frozenset({"Stopped", "Succeeded"}),
)

# alibabacloud_pai_dsw20220101 GetInstanceResponseBody.status; success is the instance that is up and usable.
DSW_INSTANCE = States(
    kind="DSW instance",
    active=frozenset(
        "Creating ResourceAllocating Queuing EnvPreparing Starting Stopping Updating Saving Saved Recovering "
        "Deleting".split()
    ),
    succeeded=frozenset({"Running"}),
    lasting=frozenset({"Running"}),
    failed=frozenset({"Failed", "SaveFailed", "Stopped"}),
    starting=frozenset({"Starting"}),
    stopping=frozenset({"Stopping", "Saving", "Saved", "Deleting"}),
    deleting=frozenset({"Deleting"}),
    resting=frozenset({"Failed", "SaveFailed", "Stopped"}),
    stopped=frozenset({"SaveFailed", "Stopped"}),
)

# A command on a DSW instance: the instance's status until the command's result is on OSS. An instance that rests
# without a result never ran the command to its end.
DSW_RUN = States(
    kind="DSW run",
    active=DSW_INSTANCE.active | {"Running"},
    succeeded=frozenset({"RunSucceeded"}),
    failed=DSW_INSTANCE.failed | {"RunFailed"},
    stopping=DSW_INSTANCE.stopping,
)

# What an instance that is not there has become: DSW itself says 404.
DSW_GONE = "Deleted"

# What an instance is waited for. A start that was just asked for may not show yet: one that still rests is waited for.
DSW_START = States(
    kind="DSW instance",
    active=DSW_INSTANCE.active | DSW_INSTANCE.stopped,
    succeeded=DSW_INSTANCE.succeeded,
    failed=DSW_INSTANCE.broken,
    stopping=DSW_INSTANCE.stopping,
    lasting=DSW_INSTANCE.lasting,
)
DSW_REST = States(
    kind="DSW instance",
    active=DSW_INSTANCE.active | DSW_INSTANCE.succeeded,
    succeeded=DSW_INSTANCE.resting | {DSW_GONE},
    failed=frozenset(),
    stopping=DSW_INSTANCE.stopping,
)

# What a service that is not there has become: EAS itself says 404.
EAS_GONE = "Deleted"

# alibabacloud_eas20210701 ListServicesRequest.service_status; success is the service that serves.
EAS_SERVICE = States(
    kind="EAS service",
    active=frozenset(
        "Creating Starting Waiting Pending Updating Scaling HotUpdate Committing Cloning Stopping Deleting".split()
    ),
    succeeded=frozenset({"Running", "Complete", "Developing"}),
    failed=frozenset({"Failed", "Stopped", EAS_GONE, "DeleteFailed"}),
    starting=frozenset({"Starting", "Waiting"}),
    stopping=frozenset({"Stopping", "Deleting"}),
    deleting=frozenset({"Deleting"}),
    resting=frozenset({"Failed", "Stopped"}),
    stopped=frozenset({"Stopped"}),
)

EAS_GOING = EAS_SERVICE.deleting | {EAS_GONE}
"""Statuses of a service that somebody has deleted, or does."""

# What a service is waited for. A call that was just made may not show yet: a service that still rests, or is not
# there yet, is waited for.
EAS_READY = States(
    kind="EAS service",
    active=EAS_SERVICE.active | EAS_SERVICE.stopped | {EAS_GONE},
    succeeded=EAS_SERVICE.succeeded,
    failed=EAS_SERVICE.broken - {EAS_GONE},
)
EAS_STOP = States(
    kind="EAS service",
    active=EAS_SERVICE.active | EAS_SERVICE.succeeded | {"Failed"},
    succeeded=EAS_SERVICE.stopped | {EAS_GONE},
    failed=frozenset({"DeleteFailed"}),
)
EAS_DELETE = States(
    kind="EAS service",
    active=EAS_STOP.active | EAS_SERVICE.stopped,
    succeeded=frozenset({EAS_GONE}),
    failed=frozenset({"DeleteFailed"}),
)

# A shadow is there for one task and is not meant to stay: whatever it does, it runs until it is gone.
EAS_SHADOW = States(
    kind="EAS shadow",
    active=EAS_DELETE.active | EAS_DELETE.failed,
    succeeded=EAS_DELETE.succeeded,
    failed=frozenset(),
    stopping=EAS_SERVICE.deleting,
)

# A candidate that nobody brings to its end, likewise.
EAS_CANDIDATE = EAS_SHADOW._replace(kind="EAS candidate", stopping=EAS_SERVICE.stopping)
