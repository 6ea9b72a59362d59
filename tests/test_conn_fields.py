"""Form of the connection, in the provider info for Airflow 3.2 and later, in the hook for earlier ones."""

from __future__ import annotations

import pytest

from airflow_provider_pai.get_provider_info import get_provider_info
from airflow_provider_pai.hooks.pai import PaiConnectionHook

INFO = get_provider_info()


def test_the_form_asks_for_what_is_required_first_and_offers_no_null():
    (connection,) = INFO["connection-types"]
    schemas = {name: field["schema"] for name, field in connection["conn-fields"].items()}
    assert [name for name, schema in schemas.items() if schema["type"] == "string"] == ["region"] == list(schemas)[:1]
    assert not [name for name, schema in schemas.items() if None in schema.get("enum", ())]
    sections = [schema.get("section", "") for schema in schemas.values()]
    assert sections == sorted(sections, key=list(dict.fromkeys(sections)).index), "a section stands in one piece"
    assert sections[0] == "", "Airflow 3.0 shows no form whose fields all have a section"


def test_the_form_of_airflow_before_3_2_has_the_same_fields():
    fab = pytest.importorskip("flask_appbuilder.fieldwidgets")
    (connection,) = INFO["connection-types"]
    widgets = PaiConnectionHook.get_connection_form_widgets()
    assert widgets.keys() == connection["conn-fields"].keys()
    assert isinstance(widgets["endpoints"].kwargs["widget"], fab.BS3TextAreaFieldWidget)
    behaviour = PaiConnectionHook.get_ui_field_behaviour()
    assert behaviour["placeholders"].keys() <= widgets.keys() | {"login", "password"}
