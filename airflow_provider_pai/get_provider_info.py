"""Provider metadata that Airflow discovers."""

from __future__ import annotations

from typing import Any

from airflow_provider_pai.conn_fields import CONN_FIELDS, UI_FIELD_BEHAVIOUR
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
                "ui-field-behaviour": {name.replace("_", "-"): part for name, part in UI_FIELD_BEHAVIOUR.items()},
                "conn-fields": {
                    name: {"label": field.label, "description": field.description, "schema": field.schema}
                    for name, field in CONN_FIELDS.items()
                },
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
