"""Every example DAG parses without a warning, and its operators keep to Airflow's rules."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.dag_bag import MODULE

pytest.importorskip(
    "airflow.sdk.execution_time.hitl", reason="an example asks a person, for which Airflow 3.1 is needed"
)

FOLDER = Path(__file__).parents[1] / "example_dags"


@pytest.fixture(scope="module")
def bag():
    return import_module(MODULE).DagBag(str(FOLDER))


def test_they_parse(bag):
    assert bag.import_errors == {}
    assert {path.stem for path in FOLDER.glob("pai_*.py")} <= set(bag.dag_ids)


def test_they_are_documented_and_retried(bag):
    for dag in bag.dags.values():
        assert dag.doc_md
        assert dag.default_args.get("retries")


def test_their_trigger_forms_have_titles_descriptions_and_sections(bag):
    forms = {dag.dag_id: dag.params for dag in bag.dags.values() if dag.params}
    assert len(forms) >= 6
    for dag_id, form in forms.items():
        schemas = [form.get_param(name) for name in form]
        assert all(each.schema.get("title") and each.description for each in schemas), dag_id
        sections = [each.schema.get("section", "") for each in schemas]
        # Airflow 3.0 shows nothing of a form whose fields all have a section; and one in two pieces is shown as one.
        assert sections == sorted(sections, key=list(dict.fromkeys(sections)).index), dag_id
        assert "" in sections, dag_id
        assert len(set(sections)) > 1, dag_id
