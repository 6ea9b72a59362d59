"""Provider metadata that Airflow discovers."""

from __future__ import annotations

from typing import Any

from airflow_provider_pai.services import SERVICES, path_of

# Integration (as Airflow groups modules in its lists) to the modules of each kind that it has.
_INTEGRATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    **{
        f"PAI {service.title}": {**service.modules, "hooks": (service.hook.rpartition(".")[0],)}
        for service in SERVICES.values()
    },
    "PAI": {"hooks": ("hooks.pai",), "triggers": ("triggers.job",)},
}

_OSS_URIS = {
    "schemes": ["oss"],
    "handler": path_of("assets.oss.sanitize_uri"),
    "factory": path_of("assets.oss.create_asset"),
    "to_openlineage_converter": path_of("assets.oss.convert_asset_to_openlineage"),
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata (`provider_info.schema.json` of Airflow)."""
    return {
        "package-name": "airflow-provider-pai",
        "name": "Alibaba Cloud PAI",
        "description": "Train on DLC, keep artifacts on OSS, deploy to EAS by canary, prepare on DSW.",
        "integrations": [
            {
                "integration-name": name,
                "tags": ["service"],
                "external-doc-url": "https://www.alibabacloud.com/help/en/pai/",
            }
            for name in _INTEGRATIONS
        ],
        **{kind: _modules(kind) for kind in ("operators", "sensors", "hooks", "triggers")},
        "task-decorators": [{"name": "pai_dlc", "class-name": path_of("decorators.dlc.pai_dlc_task")}],
        "connection-types": [
            {
                "connection-type": "pai",
                "hook-class-name": path_of("hooks.pai.PaiConnectionHook"),
                "hook-name": "Alibaba Cloud PAI",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "schema", "port"],
                    "relabeling": {"login": "AccessKey ID", "password": "AccessKey Secret"},
                },
                "conn-fields": _CONNECTION_FIELDS,
            }
        ],
        "filesystems": [path_of("fs.oss")],
        "asset-uris": [_OSS_URIS],
        "dataset-uris": [_OSS_URIS],  # Airflow 2.11's word for assets
        "cli": [path_of("cli.definition.get_pai_commands")],
        "extra-links": sorted(path_of(f"links.{link}") for service in SERVICES.values() for link in service.links),
    }


def _modules(kind: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": name, "python-modules": [path_of(module) for module in kinds[kind]]}
        for name, kinds in _INTEGRATIONS.items()
        if kind in kinds
    ]


def _text(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def _endpoint(service: str, example: str) -> dict[str, Any]:
    return _text(f"{service} endpoint", f"Overrides the endpoint of {service}, e.g. {example}.")


_CONNECTION_FIELDS = {
    "region": _text("Region", "Region id, e.g. cn-hangzhou. Required."),
    "workspace_id": _text("Workspace ID", "PAI workspace; the account's default workspace when empty."),
    "auth": _text(
        "Authentication",
        "access_key when a key is given, else the default credential chain.",
        enum=["access_key", "sts", "ram_role_arn", "ecs_ram_role", "oidc_role_arn", "default", None],
    ),
    "security_token": _text("Security token", "STS token, for auth sts.", format="password"),
    "role_arn": _text("Role ARN", "RAM role to assume, for auth ram_role_arn and oidc_role_arn."),
    "role_session_name": _text("Role session name", "Name of the assumed session; airflow when empty."),
    "role_name": _text("ECS role name", "RAM role of the instance, for auth ecs_ram_role; found out when empty."),
    "oidc_provider_arn": _text("OIDC provider ARN", "For auth oidc_role_arn (RRSA)."),
    "oidc_token_file": _text("OIDC token file", "Path on the worker, for auth oidc_role_arn."),
    "network": _text("Network", "public or vpc: which endpoints are used.", enum=["public", "vpc", None]),
    "deployment": _text("Deployment", "Name that keeps two Airflows on one workspace apart; its base URL when empty."),
    "state_uri": _text(
        "State URI",
        "oss://bucket/prefix that is home to leases and records; a bucket without versioning in this region.",
    ),
    "ledger_conn_id": _text("Ledger connection", "common-sql connection of the audit ledger."),
    "eas_group_key": _text("EAS group key", "Key that puts a service into a group; metadata.group when empty."),
    "console_url": _text(
        "Console URL",
        "Where links lead; {service} stands for pai or oss. For the international site "
        "https://{service}.console.alibabacloud.com.",
    ),
    "endpoint_url": _text("Endpoint URL", "One address for every service but OSS, e.g. the emulator's."),
    **{
        f"{service.name}_endpoint": _endpoint(service.title, service.host.format(region="cn-hangzhou"))
        for service in SERVICES.values()
    },
}
