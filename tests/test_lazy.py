import sys

import pytest

from airflow_provider_pai.lazy import late_names

find = late_names("xml", {"escape": "sax.saxutils", "gone": "sax.saxutils"})


def test_a_name_comes_from_its_module_which_is_imported_only_then(monkeypatch):
    monkeypatch.delitem(sys.modules, "xml.sax.saxutils", raising=False)
    assert find("escape")("<") == "&lt;"
    assert "xml.sax.saxutils" in sys.modules


@pytest.mark.parametrize(("name", "module"), [("other", "xml"), ("gone", "xml.sax.saxutils")])
def test_a_name_that_is_not_there_is_an_attribute_error_of_its_module(name, module):
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute '{name}'"):
        find(name)
