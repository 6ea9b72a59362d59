"""Inputs as they were: what their lists tell, and what of them is replaced, removed or added."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oss2.models import BucketVersioningConfig

from airflow_provider_pai.exceptions import PaiAnswerError, PaiArtifactError, PaiNotFoundError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.datasets import (
    MOST_KEYS,
    Listed,
    describe_dataset,
    difference,
    kept_list,
    read_again,
)
from airflow_provider_pai.uri import OssUri

FOLDER = st.dictionaries(st.text("ab/é\n", min_size=1, max_size=3), st.tuples(st.integers(0, 2), st.sampled_from("AB")))


def listed(folder):
    return [Listed(key, size, etag) for key, (size, etag) in sorted(folder.items())]


@pytest.fixture
def at(bucket, connection):
    return f"oss://{bucket.bucket_name}/folder/"


@pytest.fixture
def kept(bucket):
    return OssUri(bucket.bucket_name, "kept/list.jsonl")


@pytest.mark.fuzz
@given(before=FOLDER, now=FOLDER)
def test_what_differs_is_replaced_removed_or_added_and_nothing_else(before, now):
    change = difference(listed(before), listed(now))
    both = before.keys() & now.keys()
    assert set(change.replaced) == {key for key in both if before[key] != now[key]}
    assert set(change.removed) == before.keys() - now.keys()
    assert set(change.added) == now.keys() - before.keys()
    assert change.is_harmful == any(now.get(key) != before[key] for key in before)
    copies = difference(listed(before), listed(now), copies=True)
    assert set(copies.replaced) == {key for key in both if before[key][0] != now[key][0]}


def test_of_ten_thousand_keys_that_differ_a_hundred_of_each_kind_are_named():
    many = {f"{number:05}": (1, "A") for number in range(10_000)}
    change = difference(listed(many), [])
    assert (len(change.removed), change.further) == (MOST_KEYS, 10_000 - MOST_KEYS)
    assert str(change) == "10000 objects: removed 00000, 00001, 00002, …"


def test_a_listing_out_of_order_is_no_listing_in_which_something_is_missing():
    with pytest.raises(PaiAnswerError, match="out of order"):
        difference(listed({"a": (1, "A"), "b": (1, "A")}), [Listed("b", 1, "A"), Listed("a", 1, "A")])


def test_the_digest_of_a_dataset_tells_every_change(at, kept):
    hook = OssHook()
    for name in ("a", "sub/b", "odd\nné"):
        hook.put(at + name, name)
    hook.put(at + "sub/", "")
    first = describe_dataset(hook, "d", at, kept)
    assert (first.files, first.size, first.uri, first.versioned) == (3, 13, at, False)
    assert describe_dataset(hook, "d", at.rstrip("/")) == first
    assert (first.digest, first.size, first.files) == hook.digest(OssUri.parse(at))
    assert [item.key for item in kept_list(hook, kept, first.digest)] == ["a", "odd\nné", "sub/b"]
    assert str(read_again(hook, first, kept).change) == "unchanged"
    hook.put(at + "a", "2")
    hook.delete(at + "sub/b")
    hook.put(at + "new", "")
    assert describe_dataset(hook, "d", at).digest != first.digest
    assert str(read_again(hook, first, kept).change) == "3 objects: replaced a; removed sub/b; added new"
    with pytest.raises(PaiNotFoundError, match="at least one object"):
        describe_dataset(hook, "d", at + "nothing", kept)


def test_in_a_bucket_that_keeps_versions_the_list_has_that_of_each_object(at, kept, bucket, pai):
    hook = OssHook()
    hook.put(at + "old", "1")
    bucket.put_bucket_versioning(BucketVersioningConfig("Enabled"))
    assert not describe_dataset(hook, "d", at).versioned  # the next write replaces `old` for good
    for body in "23":
        hook.put(at + "old", body)
    hook.put(at + "gone", "x")
    hook.delete(at + "gone")
    ref = describe_dataset(hook, "d", at, kept)
    (item,) = kept_list(hook, kept, ref.digest)
    assert (ref.versioned, ref.digest) == (True, hook.digest(OssUri.parse(at))[0])
    hook.put(at + "old", "4")
    assert hook.get(at + "old", version=item.version) == b"3"
    fault = pai.account.faults.add(
        match=f"^oss GET /{bucket.bucket_name}/?$", skip=1, times=1, status=403, code="AccessDenied"
    )
    assert (describe_dataset(hook, "d", at).versioned, fault.times) == (False, 0)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"key": "a", "size": 2, "etag": "A"}'])
def test_what_is_not_the_list_that_was_kept_is_named(at, kept, content):
    hook = OssHook()
    hook.put(at + "a", "1")
    ref = describe_dataset(hook, "d", at, kept)
    hook.put(kept, content)
    with pytest.raises(PaiArtifactError, match=f"{kept} (is no list|has digest)"):
        list(kept_list(hook, kept, ref.digest))
    assert str(read_again(hook, ref, kept).change).startswith("not read again: ")


def test_a_listing_that_breaks_half_way_is_asked_for_again_and_never_read_as_removed(at, kept, bucket, pai):
    hook = OssHook()
    for number in range(1100):  # two pages
        bucket.put_object(f"folder/{number:04}", b"x")
    ref = describe_dataset(hook, "d", at, kept)
    second_page = {"match": f"^oss GET /{bucket.bucket_name}/?$", "skip": 1}
    fault = pai.account.faults.add(**second_page, status=503, times=2)
    assert str(read_again(hook, ref, kept).change) == "unchanged"
    assert fault.times == 0
    pai.account.faults.add(**second_page, status=403, code="AccessDenied")
    change = read_again(hook, ref, kept).change
    assert (change.removed, change.is_harmful) == ((), False)
    assert "AccessDenied" in change.unread
