"""Listings of OSS for all who wait on the same account: what is asked at about the same moment shares them.

A question is an address: a key, a pattern (see `hooks.oss.patterns`), or a prefix that ends in `/`. Prefixes that lie
in another asked one are answered from its listing, and keys of one folder from one listing, unless it would be longer
than asking for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice, takewhile
from typing import TYPE_CHECKING, NamedTuple, cast

from airflow_provider_pai.hooks.oss.patterns import Patterns, fixed_prefix, is_pattern
from airflow_provider_pai.triggers.hub import Hub, Question
from airflow_provider_pai.triggers.threads import in_thread
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.hooks.oss.objects import ObjectInfo

    Found = dict[str, list[ObjectInfo]]

_PAGE = 1000


class ListingHub(Hub):
    """Collects addresses and looks for them together."""

    async def find(self, uri: str, due: float = 0.0) -> list[ObjectInfo]:
        """Return the objects that fit an address, as they are at `due` or a moment later.

        :raises PaiApiError: the call failed, for everyone who shares it.
        """
        return cast("list[ObjectInfo]", await self._answer(uri, due))

    async def _ask(self, questions: list[Question]) -> None:
        for listing in listings({uri for uri, _ in questions}):
            self._spawn(self._ask_listing(listing, [each for each in questions if each[0] in listing.uris]))

    async def _ask_listing(self, listing: Listing, questions: list[Question]) -> None:
        try:
            found = await in_thread("poll", self.hook.address, listing.find, self.hook)
        except Exception as error:  # noqa: BLE001 - belongs to whoever asked
            for _, answer in questions:
                if not answer.done():
                    answer.set_exception(error)
            return
        for uri, answer in questions:
            if not answer.done():
                answer.set_result(found[uri])


class Listing(NamedTuple):
    """One listing, or one HEAD, and the addresses that it answers."""

    bucket: str
    prefix: str
    uris: tuple[str, ...]
    """Patterns and prefixes, or keys alone."""

    @property
    def _keys(self) -> list[str]:
        return sorted(key for key in map(_key, self.uris) if not _is_wide(key))

    def find(self, hook: OssHook) -> Found:
        """Look; called in a thread."""
        if len(self._keys) == len(self.uris):
            return self._find_keys(hook)
        infos = list(hook.list_objects(OssUri(self.bucket, self.prefix)))
        return {uri: list(_fitting(_key(uri), infos)) for uri in self.uris}

    def _find_keys(self, hook: OssHook) -> Found:
        """Look for keys: in a part of a listing that is no longer than asking for each, and one by one behind it."""
        wanted = self._keys
        found = self._listed(hook, wanted) if len(wanted) > 1 else {}
        for key in wanted:
            if key not in found:
                found[key] = hook.head(OssUri(self.bucket, key))
        return {uri: [info] if (info := found[_key(uri)]) else [] for uri in self.uris}

    def _listed(self, hook: OssHook, wanted: list[str]) -> dict[str, ObjectInfo | None]:
        """Return what a part of the folder's listing tells of the keys."""
        budget = _PAGE * max(1, len(wanted) // 2)
        infos = islice(hook.list_objects(OssUri(self.bucket, self.prefix), start_after=wanted[0][:-1]), budget)
        seen = {info.uri.key: info for info in takewhile(lambda info: info.uri.key <= wanted[-1], infos)}
        last = wanted[-1] if len(seen) < budget else max(seen)
        return {key: seen.get(key) for key in wanted if key <= last}


def listings(uris: Iterable[str]) -> list[Listing]:
    """Return the fewest listings that answer all addresses; a lone key is asked for by HEAD."""
    planned: list[Listing] = []
    for bucket, group in groupby(sorted(uris), lambda uri: OssUri.parse(uri).bucket):
        ordered = sorted(group, key=lambda uri: (_prefix(uri), uri))
        wide: list[Listing] = []
        keys: list[str] = []
        for uri in ordered:
            cover = next((listing for listing in wide if _prefix(uri).startswith(listing.prefix)), None)
            if cover is not None:
                wide[wide.index(cover)] = Listing(bucket, cover.prefix, (*cover.uris, uri))
            elif _is_wide(_key(uri)):
                wide.append(Listing(bucket, _prefix(uri), (uri,)))
            else:
                keys.append(uri)
        folders = groupby(sorted(keys), lambda uri: OssUri.parse(uri).parent.key)
        planned += wide + [Listing(bucket, folder, tuple(below)) for folder, below in folders]
    return planned


def find_now(hook: OssHook, uris: Iterable[str]) -> Found:
    """Look for addresses at once, without a hub."""
    return {uri: infos for listing in listings(set(uris)) for uri, infos in listing.find(hook).items()}


def _fitting(key: str, infos: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
    named = [info for info in infos if info.uri.key == key]
    if is_pattern(key) and not named:
        patterns = Patterns((key,))
        return (info for info in infos if patterns.match(info.uri.key))
    if _is_wide(key) and not is_pattern(key):
        return (info for info in infos if info.uri.key.startswith(key))
    return iter(named)


def _is_wide(key: str) -> bool:
    """Tell whether an address means more than one object."""
    return not key or key.endswith("/") or is_pattern(key)


def _key(uri: str) -> str:
    return OssUri.parse(uri).key


def _prefix(uri: str) -> str:
    key = _key(uri)
    return fixed_prefix(key) if is_pattern(key) else key
