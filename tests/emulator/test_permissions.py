"""Access keys with a policy: what they may do, and how they are refused, as the SDKs see it."""

from __future__ import annotations

import re

import oss2
import pytest
import requests
from alibabacloud_pai_dlc20201203 import models as dlc
from alibabacloud_pai_dlc20201203.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_pai.emulator.world import World
from tests.conftest import oss_bucket, sdk_config
from tests.emulator.pai_sdk import client, control, job_request


def policy(*allowed, denied=(), resource="*"):
    statements = [{"Effect": "Allow", "Action": list(allowed), "Resource": resource}] if allowed else []
    statements += [{"Effect": "Deny", "Action": list(denied), "Resource": resource}] if denied else []
    return {"Version": "1", "Statement": statements}


def jobs_of(pai, document):
    user = pai.account.add_user(document)
    key = {"access_key_id": user.access_key_id, "access_key_secret": user.access_key_secret}
    return Client(sdk_config(pai, **key)), user


def bucket_of(pai, bucket, *allowed, **more):
    name = bucket.bucket_name
    resource = [f"acs:oss:*:*:{name}", f"acs:oss:*:*:{name}/*"]
    user = pai.account.add_user(policy(*allowed, **{"resource": resource, **more}))
    auth = oss2.make_auth(user.access_key_id, user.access_key_secret, auth_version="v4")
    return oss_bucket(pai, name, auth)


def refused(call, *arguments):
    """Return what RAM refused to a call on OSS: the action, and how."""
    with pytest.raises(oss2.exceptions.ServerError) as error:
        call(*arguments)
    assert (error.value.status, error.value.code) == (403, "AccessDenied")
    body = error.value.body.decode()
    return tuple(re.search(f"<{tag}>(.*)</{tag}>", body)[1] for tag in ("AuthAction", "NoPermissionType", "EC"))


def test_what_is_allowed_is_done_and_what_is_not_is_refused_with_the_action_named(pai):
    jobs, user = jobs_of(pai, policy("paidlc:List*", "paidlc:CreateJob"))
    job_id = jobs.create_job(job_request("true")).body.job_id
    assert [job.job_id for job in jobs.list_jobs(dlc.ListJobsRequest(job_ids=job_id)).body.jobs] == [job_id]
    with pytest.raises(ClientException) as error:
        jobs.get_job(job_id, dlc.GetJobRequest())
    assert (error.value.status_code, error.value.code) == (403, "Forbidden.RAM")
    assert error.value.access_denied_detail == {
        "PolicyType": "AccountLevelIdentityBasedPolicy",
        "AuthPrincipalOwnerId": pai.account.settings.account_id,
        "AuthPrincipalType": "SubUser",
        "AuthPrincipalDisplayName": user.access_key_id,
        "NoPermissionType": "ImplicitDeny",
        "AuthAction": "paidlc:GetJob",
    }


def test_deny_is_told_as_such(pai):
    jobs, _ = jobs_of(pai, policy("*", denied=["paidlc:DeleteJob"]))
    with pytest.raises(ClientException) as error:
        jobs.delete_job("dlc-any")
    assert error.value.access_denied_detail["NoPermissionType"] == "ExplicitDeny"


def test_refusals_that_name_no_action(pai):
    pai.account.change_world({"ram_refusal": "bare"})
    try:
        jobs, _ = jobs_of(pai, policy("oss:*"))
        with pytest.raises(ClientException) as error:
            jobs.list_jobs(dlc.ListJobsRequest())
        assert (error.value.code, error.value.access_denied_detail) == ("Forbidden.RAM", None)
    finally:
        pai.account.world = World()


@pytest.mark.parametrize(
    ("call", "action"),
    [
        (lambda b: b.put_object("k", b"x"), "oss:PutObject"),
        (lambda b: b.get_object("k"), "oss:GetObject"),
        (lambda b: b.delete_object("k"), "oss:DeleteObject"),
        (lambda b: b.list_objects_v2(), "oss:ListObjects"),
        (lambda b: b.append_object("a", 0, b"x"), "oss:PutObject"),
        (lambda b: b.init_multipart_upload("m"), "oss:PutObject"),
        (lambda b: b.upload_part("m", "id", 1, b"x"), "oss:PutObject"),
        (lambda b: b.list_parts("m", "id"), "oss:ListParts"),
        (lambda b: b.abort_multipart_upload("m", "id"), "oss:AbortMultipartUpload"),
        (lambda b: b.list_multipart_uploads(), "oss:ListMultipartUploads"),
        (lambda b: b.batch_delete_objects(["k"]), "oss:DeleteObject"),
        (lambda b: b.get_bucket_versioning(), "oss:GetBucketVersioning"),
        (lambda b: b.get_bucket_info(), "oss:GetBucketInfo"),
        (lambda b: b.put_bucket_acl("private"), "oss:PutBucketAcl"),
        (lambda b: b.get_object_tagging("k"), "oss:GetObjectTagging"),
        (lambda b: b.get_object("k", params={"versionId": "v"}), "oss:GetObjectVersion"),
        (lambda b: b.delete_bucket(), "oss:DeleteBucket"),
    ],
)
def test_each_call_on_oss_asks_for_its_action(pai, bucket, call, action):
    bucket.put_object("k", b"x")
    assert refused(call, bucket_of(pai, bucket, "oss:GetBucketStat")) == (action, "ImplicitDeny", "0003-00000202")
    assert refused(call, bucket_of(pai, bucket, "oss:*", denied=[action])) == (action, "ExplicitDeny", "0003-00000201")


def test_a_head_tells_it_in_a_header(pai, bucket):
    bucket.put_object("k", b"x")
    with pytest.raises(oss2.exceptions.ServerError) as error:
        bucket_of(pai, bucket, "oss:PutObject").head_object("k")
    assert error.value.code == "AccessDenied"


def test_a_copy_reads_its_source_and_tags_are_set_by_an_action_of_their_own(pai, bucket):
    bucket.put_object("k", b"x")
    name = bucket.bucket_name
    writer = bucket_of(pai, bucket, "oss:PutObject")
    assert refused(writer.copy_object, name, "k", "k2")[0] == "oss:GetObject"
    assert refused(writer.put_object, "k3", b"x", {"x-oss-tagging": "a=b"})[0] == "oss:PutObjectTagging"
    bucket_of(pai, bucket, "oss:PutObject", "oss:GetObject").copy_object(name, "k", "k2")


def test_a_policy_for_one_prefix_and_a_signed_url(pai, bucket):
    bucket.put_object("in/k", b"x")
    bucket.put_object("k", b"x")
    reader = bucket_of(pai, bucket, "oss:GetObject", resource=f"acs:oss:*:*:{bucket.bucket_name}/in/*")
    assert reader.get_object("in/k").read() == b"x"
    assert refused(reader.get_object, "k")[0] == "oss:GetObject"
    assert requests.get(reader.sign_url("GET", "in/k", 60, slash_safe=True), timeout=5).content == b"x"
    assert requests.get(reader.sign_url("GET", "k", 60), timeout=5).status_code == 403


def test_a_key_is_made_over_the_control_endpoint_which_tells_what_it_asked_for(pai):
    made = control(pai, "users", {"policy": policy("paidlc:ListJobs")})
    jobs = Client(sdk_config(pai, **made))
    jobs.list_jobs(dlc.ListJobsRequest())
    with pytest.raises(ClientException):
        jobs.list_ecs_specs(dlc.ListEcsSpecsRequest())
    told = control(pai, "users", method="GET")
    assert told[made["access_key_id"]] == {
        "policy": policy("paidlc:ListJobs"),
        "asked": ["paidlc:ListEcsSpecs", "paidlc:ListJobs"],
    }
    assert told[pai.endpoints.access_key_id]["policy"] is None


@pytest.mark.parametrize(
    ("temporary", "status", "code"),
    [(True, 400, "InvalidSecurityToken.Expired"), (False, 404, "InvalidAccessKeyId.NotFound")],
)
def test_a_key_ends_over_the_control_endpoint_as_expired_or_as_deleted(pai, temporary, status, code):
    made = control(pai, "users", {"policy": None, "temporary": temporary})
    assert ("security_token" in made) is temporary
    jobs = Client(sdk_config(pai, **made))
    jobs.list_jobs(dlc.ListJobsRequest())
    assert made["access_key_id"] not in control(pai, "users", {"access_key_id": made["access_key_id"]}, "DELETE")
    with pytest.raises(ClientException) as refused:
        jobs.list_jobs(dlc.ListJobsRequest())
    assert (refused.value.status_code, refused.value.code) == (status, code)


@pytest.mark.parametrize("body", [{}, {"policy": {"Version": "1", "Statement": [{"Effect": "Allow"}]}}])
def test_a_policy_that_is_none_makes_no_key(pai, body):
    answer = requests.post(f"{pai.endpoints.endpoint_url}/_emulator/users", json=body, timeout=5)
    assert answer.status_code == 400
    assert "Version" in answer.json()["error"] or "Statement[0]" in answer.json()["error"]


def test_the_accounts_own_key_may_do_everything(pai):
    client(pai, "dlc").list_jobs(dlc.ListJobsRequest())
    assert pai.account.denial(pai.endpoints.access_key_id, "any:Thing") is None
