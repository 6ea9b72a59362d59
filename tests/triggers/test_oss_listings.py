import pytest

from airflow_provider_pai.triggers.oss_listings import looks


def planned(*uris):
    return sorted((look.bucket, look.prefix, *sorted(look.uris)) for look in looks(uris))


@pytest.mark.parametrize(
    ("uris", "listings"),
    [
        # Keys of one folder share a look, whatever lies between them.
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
def test_the_fewest_looks_answer_all(uris, listings):
    assert planned(*uris) == listings
