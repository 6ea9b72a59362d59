"""Base of the operators on OSS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.inputs import unusable
from airflow_provider_pai.operators.base import PaiOperator

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook


@contextmanager
def on_the_worker(field: str, value: object) -> Iterator[None]:
    """Say of what the worker's own files refuse in the block which field led there.

    :raises PaiError: they refuse.
    """
    try:
        yield
    except OSError as error:
        raise unusable(field, value, "a path that this worker can use", error) from None


_FOLDER = "{uri}: {moved} files moved ({size} bytes), {unchanged} unchanged, {deleted} deleted"


class OssOperator(PaiOperator["OssHook"]):
    """Base of the operators on OSS."""

    ui_color = "#e2ecf5"

    @property
    def hook_class(self) -> type[OssHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.oss import OssHook

        return OssHook

    def told(self, result: Any) -> str:
        """Return in one line what came of an object, or of a folder."""
        is_folder = isinstance(result, Mapping) and "moved" in result
        return self.in_words(_FOLDER, result) if is_folder else super().told(result)

    def writing_hook(self, context: Any) -> OssHook:
        """Return the hook of a try; to a later one, an object that is what it would write is an earlier one's."""
        self.hook.may_have_written = context["ti"].try_number > 1
        return self.hook
