"""Hook of the connection type `pai`: what Airflow makes of a connection, and what its form's Test button asks."""

from __future__ import annotations

from typing import Any

from airflow_provider_pai.conn_fields import CONN_FIELDS, UI_FIELD_BEHAVIOUR, Field
from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.base import PaiHook

TEST_SECONDS = 10.0
"""How long the Test button may take."""


class PaiConnectionHook(PaiHook):
    """The connection itself, without a service of its own.

    Airflow before 3.2 asks this class for its form, later ones read it in the provider info.
    """

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Return the form's fields; Airflow takes no other classes than these two."""
        return {name: _widget(field) for name, field in CONN_FIELDS.items()}

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Return what the form does with the fields that every connection has, and examples for all."""
        return dict(UI_FIELD_BEHAVIOUR)

    def test_connection(self) -> tuple[bool, str]:
        """Ask who calls and each service for one item, side by side; tell what is wrong first, then what is right."""
        from airflow_provider_pai.hooks.checks import Health, grouped, quick, run_checks

        try:
            self.connection  # noqa: B018 - read once for all
        except PaiError as error:
            return False, str(error)
        self.retry_seconds = 0.0
        rows = run_checks(quick(self), TEST_SECONDS)
        told = [
            f"{result}: {names}: {row.says}{f' → {row.todo}' if row.todo else ''}"
            for result in (Health.FAULT, Health.WARNING, Health.UNCHECKED, Health.OK)
            for names, row in grouped(row for row in rows if row.result is result)
        ]
        return not any(row.result is Health.FAULT for row in rows), "; ".join(told)


def _widget(field: Field) -> Any:
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextAreaFieldWidget, BS3TextFieldWidget
    from wtforms import PasswordField, StringField
    from wtforms.validators import Optional, any_of

    if field.is_secret:
        return PasswordField(field.label, description=field.description, widget=BS3PasswordFieldWidget())
    widget = BS3TextAreaFieldWidget() if field.is_long else BS3TextFieldWidget()
    validators = [Optional(), any_of(list(field.choices))] if field.choices else [Optional()]
    return StringField(field.label, validators=validators, description=field.description, widget=widget)
