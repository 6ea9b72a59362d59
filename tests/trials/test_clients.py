"""The emulator beside clients that are not ours."""

from __future__ import annotations

import oss2
import pytest
from alibabacloud_pai_dlc20201203.client import Client
from alibabacloud_pai_dlc20201203.models import ListJobsRequest

from tests.conftest import sdk_config
from tests.emulator.oss_client import Site


def test_a_person_comes_with_the_signature_of_an_older_sdk(pai):
    assert Client(sdk_config(pai, signature_algorithm="v2")).list_jobs(ListJobsRequest()).body.jobs is not None


def test_a_person_uploads_a_picture_by_a_form_of_a_web_page(pai, bucket):
    page = Site(pai, bucket)
    assert page.post(page.form("v4", ["starts-with", "$key", "上传/"]), b"pixels", "猫.png").status_code == 204
    assert bucket.get_object("上传/猫.png").read() == b"pixels"


def test_a_person_sets_a_legal_hold_that_the_emulator_does_not_have_and_keeps_the_object(bucket):
    bucket.put_object("model.bin", b"weights")
    with pytest.raises(oss2.exceptions.ServerError, match="NotImplemented"):
        bucket._do("PUT", bucket.bucket_name, "model.bin", params={"legalHold": ""}, data=b"<LegalHold/>")
    assert bucket.get_object("model.bin").read() == b"weights"
