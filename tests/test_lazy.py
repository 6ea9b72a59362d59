import sys
import threading

import pytest

from airflow_provider_pai.lazy import cached_property, late_names

find = late_names("xml", {"escape": "sax.saxutils", "gone": "sax.saxutils"})


def test_a_name_comes_from_its_module_which_is_imported_only_then(monkeypatch):
    monkeypatch.delitem(sys.modules, "xml.sax.saxutils", raising=False)
    assert find("escape")("<") == "&lt;"
    assert "xml.sax.saxutils" in sys.modules


@pytest.mark.parametrize(("name", "module"), [("other", "xml"), ("gone", "xml.sax.saxutils")])
def test_a_name_that_is_not_there_is_an_attribute_error_of_its_module(name, module):
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute '{name}'"):
        find(name)


def test_a_property_that_takes_long_for_one_is_there_at_once_for_another():
    class Reads:
        @cached_property
        def value(self):
            """Return a fresh one."""
            self.calls = getattr(self, "calls", 0) + 1
            return self.wait()

    slow, fast, release = Reads(), Reads(), threading.Event()
    slow.wait, fast.wait = release.wait, object
    thread = threading.Thread(target=lambda: slow.value, daemon=True)
    thread.start()
    other = threading.Thread(target=lambda: fast.value, daemon=True)
    other.start()
    other.join(10)
    assert "value" in fast.__dict__
    assert "value" not in slow.__dict__
    release.set()
    thread.join(10)
    assert (slow.value, slow.calls, Reads.value.__doc__) == (True, 1, "Return a fresh one.")
