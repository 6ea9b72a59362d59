"""Operators for EAS: rollouts to service groups, services and predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.operators.eas.blue_green import EasBlueGreenDeployOperator
    from airflow_provider_pai.operators.eas.canary import EasCanaryDeployOperator
    from airflow_provider_pai.operators.eas.deploy import EasDeployServiceOperator
    from airflow_provider_pai.operators.eas.predict import EasPredictOperator
    from airflow_provider_pai.operators.eas.rollback import EasRollbackOperator
    from airflow_provider_pai.operators.eas.services import (
        EasDeleteServiceOperator,
        EasScaleServiceOperator,
        EasSetSafetyLockOperator,
        EasStartServiceOperator,
        EasStopServiceOperator,
    )
    from airflow_provider_pai.operators.eas.shadow import EasShadowOperator
    from airflow_provider_pai.operators.eas.versions import EasRollbackServiceOperator

__all__ = [
    "EasBlueGreenDeployOperator",
    "EasCanaryDeployOperator",
    "EasDeleteServiceOperator",
    "EasDeployServiceOperator",
    "EasPredictOperator",
    "EasRollbackOperator",
    "EasRollbackServiceOperator",
    "EasScaleServiceOperator",
    "EasSetSafetyLockOperator",
    "EasShadowOperator",
    "EasStartServiceOperator",
    "EasStopServiceOperator",
]

__getattr__ = late_names(
    __name__,
    {
        "EasBlueGreenDeployOperator": "blue_green",
        "EasCanaryDeployOperator": "canary",
        "EasDeleteServiceOperator": "services",
        "EasDeployServiceOperator": "deploy",
        "EasPredictOperator": "predict",
        "EasRollbackOperator": "rollback",
        "EasRollbackServiceOperator": "versions",
        "EasScaleServiceOperator": "services",
        "EasSetSafetyLockOperator": "services",
        "EasShadowOperator": "shadow",
        "EasStartServiceOperator": "services",
        "EasStopServiceOperator": "services",
    },
)
