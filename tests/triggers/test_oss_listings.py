import pytest

from airflow_provider_pai.triggers.oss_listings import listings


def planned(*uris):
    return sorted((listing.bucket, listing.prefix, *sorted(listing.uris)) for listing in listings(uris))


@pytest.mark.parametrize(
    ("uris", "expected"),
    [
        # Keys of one folder share a listing, whatever lies between them.
        (["oss://b-1/f/a", "oss://b-1/f/z"], [("b-1", "f/", "oss://b-1/f/a", "oss://b-1/f/z")]),
        (["oss://b-1/f/a", "oss://b-1/g/a"], [("b-1", "f/", "oss://b-1/f/a"), ("b-1", "g/", "oss://b-1/g/a")]),
        # What lies in a prefix that is listed anyway comes from that listing.
        (
            ["oss://b-1/f/", "oss://b-1/f/g/", "oss://b-1/f/g/a"],
            [("b-1", "f/", "oss://b-1/f/", "oss://b-1/f/g/", "oss://b-1/f/g/a")],
        ),
        (["oss://b-1/f/*.csv", "oss://b-1/f/a"], [("b-1", "f/", "oss://b-1/f/*.csv", "oss://b-1/f/a")]),
        # Names that begin alike are no folders of each other.
        (["oss://b-1/f/", "oss://b-1/fg/"], [("b-1", "f/", "oss://b-1/f/"), ("b-1", "fg/", "oss://b-1/fg/")]),
        (["oss://b-1/f/", "oss://b-2/f/"], [("b-1", "f/", "oss://b-1/f/"), ("b-2", "f/", "oss://b-2/f/")]),
        # A whole bucket answers everything in it.
        (["oss://b-1", "oss://b-1/f/a"], [("b-1", "", "oss://b-1", "oss://b-1/f/a")]),
        ([], []),
    ],
)
def test_the_fewest_listings_answer_all(uris, expected):
    assert planned(*uris) == expected
