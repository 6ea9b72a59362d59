"""Probe of OSS: one object, written, read, and written again where that must not overwrite."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.smoke.round import Leftover, Round


def probe_oss(one: Round) -> None:
    """Put an object, read it back, and see whether a put that must not overwrite is refused."""
    hook = one.sibling(OssHook)
    uri = one.folder.join(one.key, "object")
    with one.made(str(uri), partial(hook.delete, uri)):
        hook.put(uri, b"1")
        if hook.get(uri) != b"1":
            raise PaiError(f"{uri} came back changed")
        kept = not hook.put_once(uri, b"2")
        one.facts.learn("oss_forbid_overwrite", None, "kept" if kept else "overwritten: the bucket has versions?")


def leftover_objects(one: Round) -> Iterator[Leftover]:
    """Yield the objects of rounds."""
    hook = one.sibling(OssHook)
    for found in hook.list_objects(one.folder):
        yield str(found.uri), partial(hook.delete, found.uri)
