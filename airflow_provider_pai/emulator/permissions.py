"""RAM actions: what each API call has to be allowed, as the services' "RAM authorization" pages name it.

Most actions bear their call's name behind the service's RAM code. Pages: api-pai-dlc-2020-12-03-ram,
api-pai-dsw-2022-01-01-ram (CreateInstance is in none: the name stands in the system policy
AliyunPAILangStudioDefaultRolePolicy), api-eas-2021-07-01-ram, api-aiworkspace-2021-02-04-ram, api-cms-2019-01-01-ram
(DescribeMetricMetaList: a public skill's policy alone), api-ram-2015-05-01-getrole, and OSS's "RAM Policy".
"""

from __future__ import annotations

from collections.abc import Mapping

ACTIONS: Mapping[tuple[str, str], str] = {
    (version, call): f"{code}:{call}"
    for version, code, calls in (
        (
            "2020-12-03",
            "paidlc",
            "CreateJob ListJobs GetJob UpdateJob DeleteJob StopJob GetJobEvents GetPodLogs GetPodEvents ListEcsSpecs "
            "CreateTensorboard ListTensorboards GetTensorboard DeleteTensorboard StartTensorboard StopTensorboard",
        ),
        (
            "2022-01-01",
            "paidsw",
            "CreateInstance ListInstances GetInstance StartInstance StopInstance GetInstanceEvents "
            "UpdateInstanceLabels DeleteInstanceLabels ListEcsSpecs "
            "CreateInstanceShutdownTimer GetInstanceShutdownTimer DeleteInstanceShutdownTimer "
            "CreateIdleInstanceCuller GetIdleInstanceCuller DeleteIdleInstanceCuller",
        ),
        (
            "2021-07-01",
            "eas",
            "CreateService ListServices DescribeService UpdateService DeleteService StartService StopService "
            "RestartService ReleaseService UpdateServiceVersion ListServiceVersions UpdateServiceLabel "
            "DeleteServiceLabel UpdateServiceSafetyLock CreateServiceMirror UpdateServiceMirror DescribeServiceMirror "
            "DeleteServiceMirror CreateServiceAutoScaler UpdateServiceAutoScaler DescribeServiceAutoScaler "
            "DeleteServiceAutoScaler DescribeServiceEndpoints ListServiceInstances ListServiceContainers "
            "DescribeServiceEvent DescribeServiceLog ListGroups DescribeGroup UpdateGroup DescribeGroupEndpoints",
        ),
        (
            "2021-02-04",
            "paicodesource",
            "CreateCodeSource ListCodeSources GetCodeSource UpdateCodeSource DeleteCodeSource",
        ),
        ("2021-02-04", "paiimage", "AddImage ListImages GetImage RemoveImage AddImageLabels"),
        ("2021-02-04", "paiworkspace", "ListWorkspaces GetWorkspace"),
    )
    for call in calls.split()
} | {
    ("2022-01-01", "UpdateInstance"): "paidsw:UpdatePostPaidInstance",
    ("2022-01-01", "DeleteInstance"): "paidsw:DeletePostPaidInstance",
    ("2019-01-01", "DescribeMetricLast"): "cms:QueryMetricLast",
    ("2019-01-01", "DescribeMetricList"): "cms:QueryMetricList",
    ("2019-01-01", "DescribeMetricMetaList"): "cms:QueryMetricMeta",
    ("2015-04-01", "GetCallerIdentity"): "",
    ("2015-05-01", "GetRole"): "ram:GetRole",
}
"""By the API's version and the call's name; none: everybody may. They can be allowed for all resources (`*`) alone."""

OSS_SERVICE: Mapping[tuple[str, str], str] = {
    ("GET", ""): "oss:ListBuckets",
    ("GET", "regionList"): "oss:ListBuckets",
}
OSS_BUCKET: Mapping[tuple[str, str], str] = {
    ("PUT", ""): "oss:PutBucket",
    ("GET", ""): "oss:ListObjects",
    ("HEAD", ""): "oss:GetBucketInfo",
    ("DELETE", ""): "oss:DeleteBucket",
    ("GET", "bucketInfo"): "oss:GetBucketInfo",
    ("GET", "location"): "oss:GetBucketLocation",
    ("GET", "stat"): "oss:GetBucketStat",
    ("GET", "versions"): "oss:ListObjectVersions",
    ("GET", "live"): "oss:ListLiveChannel",
    ("GET", "uploads"): "oss:ListMultipartUploads",
    **{
        (method, name.lower()): f"oss:{verb}Bucket{name}"
        for name in "Acl Cors Encryption Lifecycle Logging Policy Referer Tagging Versioning".split()
        for method, verb in (("PUT", "Put"), ("GET", "Get"), ("DELETE", "Delete"))
    },
    ("PUT", "qos"): "oss:PutBucketQoSInfo",
    ("GET", "qos"): "oss:GetBucketQoSInfo",
    ("DELETE", "qos"): "oss:DeleteBucketQoSInfo",
}
OSS_OBJECT: Mapping[tuple[str, str], str] = {
    ("PUT", ""): "oss:PutObject",
    ("GET", ""): "oss:GetObject",
    ("HEAD", ""): "oss:GetObject",
    ("DELETE", ""): "oss:DeleteObject",
    ("GET", "objectMeta"): "oss:GetObject",
    ("HEAD", "objectMeta"): "oss:GetObject",
    ("POST", "append"): "oss:PutObject",
    ("PUT", "tagging"): "oss:PutObjectTagging",
    ("GET", "tagging"): "oss:GetObjectTagging",
    ("DELETE", "tagging"): "oss:DeleteObjectTagging",
    ("PUT", "acl"): "oss:PutObjectAcl",
    ("GET", "acl"): "oss:GetObjectAcl",
    ("PUT", "symlink"): "oss:PutObject",
    ("GET", "symlink"): "oss:GetObject",
    ("DELETE", "symlink"): "oss:DeleteObject",
    ("POST", "restore"): "oss:RestoreObject",
    ("POST", "uploads"): "oss:PutObject",
    ("PUT", "uploadId"): "oss:PutObject",
    ("POST", "uploadId"): "oss:PutObject",
    ("DELETE", "uploadId"): "oss:AbortMultipartUpload",
    ("GET", "uploadId"): "oss:ListParts",
}
"""By method and sub-resource, as OSS's routes are; DeleteMultipleObjects is none: it is allowed for each object."""
