import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss.headers import STORAGE_CLASSES, check_tags, write_headers


def test_an_ordinary_write_has_no_headers_of_its_own():
    assert write_headers() == {}


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"overwrite": False}, {"x-oss-forbid-overwrite": "true"}),
        ({"storage_class": "IA"}, {"x-oss-storage-class": "IA"}),
        ({"tags": {"team": "a b", "x": "ü&="}}, {"x-oss-tagging": "team=a+b&x=%C3%BC%26%3D"}),
        ({"tags": {}}, {}),
        (
            {"headers": {"Cache-Control": "no-cache"}, "overwrite": False},
            {"Cache-Control": "no-cache", "x-oss-forbid-overwrite": "true"},
        ),
    ],
)
def test_each_wish_is_one_header_beside_the_callers(arguments, headers):
    assert write_headers(**arguments) == headers


def test_the_callers_headers_stay_as_they_were():
    theirs = {"Cache-Control": "no-cache"}
    write_headers(overwrite=False, headers=theirs)
    assert theirs == {"Cache-Control": "no-cache"}


def test_a_storage_class_that_oss_has_not_is_refused():
    with pytest.raises(PaiConfigError, match=f"storage_class: 'Cold' .* {', '.join(STORAGE_CLASSES)}"):
        write_headers(storage_class="Cold")


@pytest.mark.parametrize(
    "tags", [{str(n): "" for n in range(11)}, {"": "v"}, {"k" * 129: "v"}, {"k": "v" * 257}], ids=len
)
def test_tags_beyond_osss_limits_are_refused(tags):
    with pytest.raises(PaiConfigError, match=r"tags: .* at most 10"):
        check_tags(tags)
