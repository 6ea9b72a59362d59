"""Fields of the connection as data: one row each, for Airflow's form on every version and for whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_provider_pai.services import SERVICES

# Public regions and the finance and government clouds, from the endpoint pages of DLC, DSW, EAS and OSS.
REGIONS = frozenset(
    """cn-hangzhou cn-shanghai cn-beijing cn-shenzhen cn-zhangjiakou cn-wulanchabu cn-huhehaote cn-chengdu
    cn-guangzhou cn-heyuan cn-qingdao cn-nanjing cn-fuzhou cn-wuhan-lr cn-hongkong cn-shanghai-finance-1
    cn-shenzhen-finance-1 cn-beijing-finance-1 cn-hangzhou-finance cn-north-2-gov-1 ap-southeast-1 ap-southeast-2
    ap-southeast-3 ap-southeast-5 ap-southeast-6 ap-southeast-7 ap-northeast-1 ap-northeast-2 ap-south-1 eu-central-1
    eu-west-1 us-west-1 us-east-1 me-east-1 me-central-1 na-south-1""".split()
)
AUTH_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "access_key": "access_key: AccessKey ID and Secret",
        "sts": "sts: these and a security token",
        "ram_role_arn": "ram_role_arn: the key assumes a role",
        "ecs_ram_role": "ecs_ram_role: the role of this ECS instance",
        "oidc_role_arn": "oidc_role_arn: a pod's token assumes a role (RRSA)",
        "default": "default: the chain of alibabacloud-credentials",
    }
)
NETWORKS: Mapping[str, str] = MappingProxyType(
    {"public": "public: through the Internet", "vpc": "vpc: from within a VPC of the region"}
)
ENDPOINT_SERVICES = tuple(name for name in SERVICES if name != "oss")
"""Services whose addresses stand in `endpoints`; OSS, which `endpoint_url` leaves out, has a field of its own."""

_OTHER_KEYS, _STATE, _COST, _ADVANCED = "Other credentials", "State and audit", "Cost", "Advanced"


class Field(NamedTuple):
    """A field of the extra.

    :param section: part of the form; empty: the first.
    :param placeholder: an example.
    :param choices: values to what a list says of them.
    :param examples: values that are offered; others may be typed.
    """

    label: str
    description: str
    section: str = ""
    placeholder: str = ""
    choices: Mapping[str, str] = MappingProxyType({})
    examples: tuple[str, ...] = ()
    is_required: bool = False
    is_secret: bool = False
    is_long: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return it as provider info has it: a type with null is what Airflow's form lets stay empty."""
        formats = {"password": self.is_secret, "multiline": self.is_long}
        written = {
            "type": "string" if self.is_required else ["string", "null"],
            "format": next((name for name, has in formats.items() if has), None),
            "section": self.section,
            "examples": list(self.examples),
            "enum": list(self.choices),
            "values_display": dict(self.choices),
        }
        return {name: value for name, value in written.items() if value}


CONN_FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "region": Field(
            "Region",
            "Required: the region of your workspace, e.g. cn-hangzhou.",
            placeholder="cn-hangzhou",
            examples=tuple(sorted(REGIONS)),
            is_required=True,
        ),
        "workspace_id": Field(
            "Workspace ID", "Empty: the account's default workspace. For example 12345.", placeholder="12345"
        ),
        "auth": Field(
            "Authentication",
            "Empty: access_key when an AccessKey ID is given, else default.",
            placeholder="access_key",
            choices=AUTH_KINDS,
        ),
        "network": Field(
            "Network",
            "Which addresses of the services are used. Empty: public.",
            placeholder="public",
            choices=NETWORKS,
        ),
        "security_token": Field("Security token", "For sts: the token.", _OTHER_KEYS, is_secret=True),
        "role_arn": Field(
            "Role ARN",
            "For ram_role_arn and oidc_role_arn: the role to assume, e.g. acs:ram::1000000000000001:role/airflow.",
            _OTHER_KEYS,
            "acs:ram::1000000000000001:role/airflow",
        ),
        "role_session_name": Field(
            "Role session name", "For these two, what audits show. Empty: airflow.", _OTHER_KEYS, "airflow"
        ),
        "role_name": Field(
            "ECS role name", "For ecs_ram_role: the role of the instance. Empty: the instance is asked.", _OTHER_KEYS
        ),
        "oidc_provider_arn": Field(
            "OIDC provider ARN",
            "For oidc_role_arn, e.g. acs:ram::1000000000000001:oidc-provider/ack-rrsa-c1.",
            _OTHER_KEYS,
            "acs:ram::1000000000000001:oidc-provider/ack-rrsa-c1",
        ),
        "oidc_token_file": Field(
            "OIDC token file",
            "For oidc_role_arn: a path on every worker, e.g. /var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token.",
            _OTHER_KEYS,
            "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token",
        ),
        "state_uri": Field(
            "State URI",
            "Home of leases, records and rows that wait: a prefix in a bucket of this region without versioning, "
            "e.g. oss://my-team/pai-state. Empty: beside the artifacts.",
            _STATE,
            "oss://my-team/pai-state",
        ),
        "ledger_conn_id": Field(
            "Ledger connection",
            "Airflow connection of the audit ledger's database, e.g. pai_ledger. Empty: an SQLite file on the worker.",
            _STATE,
            "pai_ledger",
        ),
        "prices": Field(
            "Prices",
            "What instance types cost an hour, a line each, e.g. ecs.g6.xlarge=1.01; also currency=CNY, and spot=0.3: "
            "the share of it that spot instances cost. dsw/ecs.g6.xlarge=1.05: of one service alone.",
            _STATE,
            "currency=CNY",
            is_long=True,
        ),
        "deployment": Field(
            "Deployment",
            "Name that keeps two Airflows on one workspace apart, e.g. airflow-prod. Empty: Airflow's base URL.",
            _STATE,
            "airflow-prod",
        ),
        "max_running_time": Field(
            "Max running time",
            "When a service itself ends jobs and DSW runs that have neither max_running_time nor execution_timeout, "
            "e.g. 12h. Empty: after 7 days.",
            _COST,
            "12h",
        ),
        "pip_index": Field(
            "pip index",
            "Where notebooks install papermill from if their image lacks it, and `%pip install` what it is given, e.g. "
            "https://mirrors.example.com/pypi/simple/. Empty: nothing is installed.",
            _ADVANCED,
            "https://mirrors.example.com/pypi/simple/",
        ),
        "endpoint_url": Field(
            "Endpoint URL",
            "One address for every service but OSS: the emulator's, e.g. http://127.0.0.1:40001.",
            _ADVANCED,
            "http://127.0.0.1:40001",
        ),
        "oss_endpoint": Field(
            "OSS endpoint",
            "Address of OSS: the emulator's, e.g. http://127.0.0.1:40002, or oss-accelerate.aliyuncs.com.",
            _ADVANCED,
            "http://127.0.0.1:40002",
        ),
        "endpoints": Field(
            "Endpoints",
            f"Addresses of other services, a line each: service=address, e.g. dlc={SERVICES['dlc'].host}. "
            f"Services: {', '.join(ENDPOINT_SERVICES)}.".replace("{region}", "cn-hangzhou"),
            _ADVANCED,
            f"dlc={SERVICES['dlc'].host}".replace("{region}", "cn-hangzhou"),
            is_long=True,
        ),
        "console_url": Field(
            "Console URL",
            "Where links lead; {service} stands for pai or oss. "
            "International site: https://{service}.console.alibabacloud.com.",
            _ADVANCED,
            "https://{service}.console.aliyun.com",
        ),
        "eas_group_key": Field(
            "EAS group key",
            "Key of the service JSON that names its group. Empty: metadata.group.",
            _ADVANCED,
            "metadata.group",
        ),
    }
)
"""By name, in the form's order."""

UI_FIELD_BEHAVIOUR: Mapping[str, Any] = MappingProxyType(
    {
        "hidden_fields": ["host", "schema", "port"],
        "relabeling": {"login": "AccessKey ID", "password": "AccessKey Secret"},
        "placeholders": {
            "login": "LTAI…  (empty for ecs_ram_role, oidc_role_arn, default)",
            "password": "of this AccessKey ID",
            **{name: field.placeholder for name, field in CONN_FIELDS.items() if field.placeholder},
        },
    }
)
"""Of the fields that every connection has, and examples: Airflow 3's form shows those of login and password alone."""
