"""Services of Alibaba Cloud as data: one row each, with all that shared places know of a service."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_PACKAGE = "airflow_provider_pai"
_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Service(NamedTuple):
    """A service. Modules and classes are named below the package, and imported by whoever needs them.

    :param name: in hooks, in errors, and in the connection's `<name>_endpoint`.
    :param title: for people.
    :param host: public host; `{region}` stands for the region, where there is one for each.
    :param vpc_host: the same within a VPC.
    :param sdk: Python package of its SDK; the distribution has hyphens for underscores.
    :param hook: class of its hook; the connection's Test button calls `ping`.
    :param permission: RAM action that `ping` needs; none where it needs none.
    :param actions: RAM actions of calls that have another than their own name behind `permission`'s code.
    :param modules: `operators`, `sensors`, `triggers`: modules that Airflow lists under the service's name.
    :param links: classes of `links`.
    :param orphans: classes of hooks that find their deployment's jobs by tags (`airflow pai jobs orphans`).
    :param billed: those of them whose jobs tell what they have used (`airflow pai cost`).
    """

    name: str
    title: str
    host: str
    vpc_host: str
    sdk: str
    hook: str
    permission: str = ""
    actions: Mapping[str, str] = MappingProxyType({})
    modules: Mapping[str, tuple[str, ...]] = _NONE
    links: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    billed: tuple[str, ...] = ()

    def ram_action(self, call: str) -> str:
        """Return the RAM action that an API call has to be allowed; pages: "RAM authorization" of each service."""
        return self.actions.get(call, f"{self.permission.partition(':')[0]}:{call}")


def path_of(name: str) -> str:
    """Return the full path of a module or class of a row."""
    return f"{_PACKAGE}.{name}"


SERVICES: Mapping[str, Service] = {
    row.name: row
    for row in (
        Service(
            name="oss",
            title="OSS",
            host="oss-{region}.aliyuncs.com",
            vpc_host="oss-{region}-internal.aliyuncs.com",
            sdk="oss2",
            hook="hooks.oss.OssHook",
            permission="oss:ListBuckets",
            actions={
                "AppendObject": "oss:PutObject",
                "CompleteMultipartUpload": "oss:PutObject",
                "CopyObject": "oss:PutObject",
                "DeleteMultipleObjects": "oss:DeleteObject",
                "HeadObject": "oss:GetObject",
                "InitiateMultipartUpload": "oss:PutObject",
                "ListObjectsV2": "oss:ListObjects",
                "UploadPart": "oss:PutObject",
                "UploadPartCopy": "oss:PutObject",
            },
            modules={
                "operators": ("operators.oss",),
                "sensors": ("sensors.oss",),
                "triggers": ("triggers.oss", "triggers.oss_events"),
            },
        ),
        Service(
            name="dlc",
            title="DLC",
            host="pai-dlc.{region}.aliyuncs.com",
            vpc_host="pai-dlc-vpc.{region}.aliyuncs.com",
            sdk="alibabacloud_pai_dlc20201203",
            hook="hooks.dlc.DlcHook",
            permission="paidlc:ListJobs",
            modules={"operators": ("operators.dlc",), "sensors": ("sensors.dlc",)},
            links=("DlcJobLink", "TensorBoardLink"),
            orphans=("hooks.dlc.DlcHook",),
            billed=("hooks.dlc.DlcHook",),
        ),
        Service(
            name="dsw",
            title="DSW",
            host="pai-dsw.{region}.aliyuncs.com",
            vpc_host="pai-dsw-vpc.{region}.aliyuncs.com",
            sdk="alibabacloud_pai_dsw20220101",
            hook="hooks.dsw.DswHook",
            permission="paidsw:ListInstances",
            actions={
                "DeleteInstance": "paidsw:DeletePostPaidInstance",
                "UpdateInstance": "paidsw:UpdatePostPaidInstance",
            },
            modules={"operators": ("operators.dsw",), "sensors": ("sensors.dsw",)},
            links=("DswInstanceLink", "DswJupyterLabLink"),
            orphans=("hooks.dsw.DswRunHook", "hooks.dsw.DswCommandHook"),
            billed=("hooks.dsw.DswRunHook",),
        ),
        Service(
            name="eas",
            title="EAS",
            host="pai-eas.{region}.aliyuncs.com",
            vpc_host="pai-eas-manage-vpc.{region}.aliyuncs.com",
            sdk="alibabacloud_eas20210701",
            hook="hooks.eas.EasHook",
            permission="eas:ListServices",
            modules={
                "operators": ("operators.eas", "operators.model"),
                "sensors": ("sensors.eas",),
                "triggers": ("triggers.eas", "triggers.rollout"),
            },
            links=("EasRolloutLink", "EasServiceLink"),
            orphans=("rollouts.shadows.EasShadowHook", "rollouts.candidates.EasCandidateHook"),
        ),
        Service(
            name="aiworkspace",
            title="AIWorkspace",
            host="aiworkspace.{region}.aliyuncs.com",
            vpc_host="aiworkspace-vpc.{region}.aliyuncs.com",
            sdk="alibabacloud_aiworkspace20210204",
            hook="hooks.aiworkspace.AIWorkspaceHook",
            permission="paicodesource:ListCodeSources",
            actions={
                "AddImage": "paiimage:AddImage",
                "AddImageLabels": "paiimage:AddImageLabels",
                "GetWorkspace": "paiworkspace:GetWorkspace",
                "ListImages": "paiimage:ListImages",
            },
        ),
        Service(
            name="cms",
            title="CloudMonitor",
            host="metrics.{region}.aliyuncs.com",
            vpc_host="metrics-vpc.{region}.aliyuncs.com",
            sdk="alibabacloud_cms20190101",
            hook="hooks.cloudmonitor.CloudMonitorHook",
            permission="cms:QueryMetricList",
            actions={"DescribeMetricList": "cms:QueryMetricList", "DescribeMetricMetaList": "cms:QueryMetricMeta"},
        ),
        Service(
            name="sts",
            title="STS",
            host="sts.{region}.aliyuncs.com",
            vpc_host="sts-vpc.{region}.aliyuncs.com",
            sdk="alibabacloud_tea_openapi",
            hook="hooks.identity.StsHook",
        ),
        Service(
            name="ram",
            title="RAM",
            host="ram.aliyuncs.com",
            vpc_host="ram.vpc-proxy.aliyuncs.com",
            sdk="alibabacloud_tea_openapi",
            hook="hooks.identity.RamHook",
            permission="ram:GetRole",
        ),
    )
}
