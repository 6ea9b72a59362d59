import pytest

from airflow_provider_pai.uri import OssUri


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("oss://bucket", "bucket", ""),
        ("oss://bucket/", "bucket", ""),
        ("oss://bucket/a/b.txt", "bucket", "a/b.txt"),
        ("oss://bucket/a b/ü+%20?#", "bucket", "a b/ü+%20?#"),
        ("oss://bucket/a\nb", "bucket", "a\nb"),
        ("oss://bucket.oss-cn-hangzhou.aliyuncs.com/a", "bucket", "a"),
        ("oss://bucket/" + "k" * 1023, "bucket", "k" * 1023),
    ],
)
def test_reads_bucket_and_key_as_they_stand(text, bucket, key):
    assert OssUri.parse(text) == (bucket, key)


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "s3://bucket/a",
        "oss:/bucket/a",
        "oss://",
        "oss://ab/a",
        "oss://Bucket/a",
        "oss://-bucket/a",
        "oss://bucket_1/a",
        "oss://bucket//a",
        "oss://bucket/\\a",
        "oss://bucket/" + "ü" * 512,
        "oss://bucket/\ud800",
    ],
)
def test_refuses_what_oss_would_naming_the_field(text):
    with pytest.raises(ValueError, match=r"^model_uri: .* is not allowed; write oss://bucket/key"):
        OssUri.parse(text, "model_uri")


@pytest.mark.parametrize(
    ("text", "folder", "parent"),
    [
        ("oss://bucket/a/b", "oss://bucket/a/b/", "oss://bucket/a/"),
        ("oss://bucket/a/", "oss://bucket/a/", "oss://bucket/a/"),
        ("oss://bucket/a", "oss://bucket/a/", "oss://bucket/"),
        ("oss://bucket", "oss://bucket/", "oss://bucket/"),
    ],
)
def test_folder_and_parent_end_in_a_slash_but_for_the_bucket_itself(text, folder, parent):
    uri = OssUri.parse(text)
    assert (str(uri.folder), str(uri.parent)) == (folder, parent)


@pytest.mark.parametrize("text", ["oss://bucket/a", "oss://bucket/a/"])
def test_joins_below_with_one_slash_between_and_leaves_the_parts_as_they_are(text):
    assert str(OssUri.parse(text).join("b", "c.txt")) == "oss://bucket/a/b/c.txt"
    assert str(OssUri.parse(text).join("/b/", "c.txt")) == "oss://bucket/a//b//c.txt"
