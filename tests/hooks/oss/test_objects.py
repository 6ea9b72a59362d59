from datetime import UTC, datetime

import pytest

from airflow_provider_pai.hooks.oss.objects import VersionInfo
from airflow_provider_pai.uri import OssUri


@pytest.mark.parametrize(("size", "is_marker"), [(None, True), (0, False), (5, False)])
def test_only_what_has_no_size_hides_the_object(size, is_marker):
    version = VersionInfo(OssUri("bucket", "a"), "v1", True, datetime(2026, 11, 21, tzinfo=UTC), size, None)
    assert version.is_delete_marker is is_marker
