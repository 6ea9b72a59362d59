"""RAM policies: what statements allow, what is no policy, and the table of actions beside the routes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.emulator.oss import routes as oss
from airflow_provider_pai.emulator.permissions import ACTIONS, OSS_BUCKET, OSS_OBJECT, OSS_SERVICE
from airflow_provider_pai.emulator.ram import Denial, Policy

OBJECT = "acs:oss:cn-hangzhou:1:models/a/b.bin"
PATTERNS = ("*", "oss:*", "oss:Get*", "oss:GetObject", "OSS:getobject", "oss:Put*", "paidlc:*")


def statement(effect="Allow", action="*", resource="*"):
    return {"Effect": effect, "Action": action, "Resource": resource}


def policy(*statements):
    return Policy({"Version": "1", "Statement": list(statements)})


@pytest.mark.parametrize("action", ["*", "oss:*", "oss:Get*", ["paidlc:*", "oss:GetObject"], "OSS:getobject"])
@pytest.mark.parametrize(
    "resource", ["*", "acs:oss:*:*:models/*", "acs:oss:*:1:models/a/b.bin", ["acs:oss:*:*:x", "acs:*/b.bin"]]
)
def test_what_a_statement_covers_is_allowed(action, resource):
    assert policy(statement(action=action, resource=resource)).denial("oss:GetObject", OBJECT) is None


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("oss:Put*", "*"),
        ("oss:GetObjectAcl", "*"),
        ("oss:Get", "*"),
        ("oss:GetObject", "acs:oss:*:*:models"),
        ("oss:GetObject", "acs:oss:*:*:model/*"),
        ("oss:GetObject", "acs:oss:*:*:models/A/*"),
    ],
)
def test_what_no_statement_covers_is_refused(action, resource):
    assert policy(statement(action=action, resource=resource)).denial("oss:GetObject", OBJECT) == Denial(
        "oss:GetObject", explicit=False
    )


def test_all_actions_but_some():
    all_but = {"Effect": "Allow", "NotAction": ["paidlc:Delete*"], "Resource": "*"}
    assert policy(all_but).denial("paidlc:CreateJob", "*") is None
    assert policy(all_but).denial("paidlc:DeleteJob", "*") is not None


def test_what_is_allowed_for_all_resources_alone_is_not_allowed_for_one():
    assert policy(statement(resource="acs:paidlc:*:*:*")).denial("paidlc:GetJob", "*") is not None


@given(
    st.lists(st.sampled_from(PATTERNS), max_size=5),
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=5),
    st.randoms(),
)
def test_deny_wins_in_any_order(allowed, denied, random):
    statements = [statement(action=each) for each in allowed] + [statement("Deny", each) for each in denied]
    random.shuffle(statements)
    covered = [each for each in denied if policy(statement(action=each)).denial("oss:GetObject", OBJECT) is None]
    if covered:
        assert policy(*statements).denial("oss:GetObject", OBJECT) == Denial("oss:GetObject", explicit=True)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("*", "policy: '\\*' is no JSON object"),
        ({"Statement": [statement()]}, "Version: None is not '1'"),
        ({"Version": "1"}, "Statement: None is no list"),
        ({"Version": "1", "Statement": []}, "Statement: \\[\\] is no list"),
        ({"Version": "1", "Statement": ["x"]}, "Statement\\[0\\]: 'x' is no JSON object"),
        ({"Version": "1", "Statement": [statement()], "Id": "x"}, "policy.Id: there is no such element"),
        ({"Version": "1", "Statement": [statement("allow")]}, "Statement\\[0\\].Effect: 'allow' is neither"),
        ({"Version": "1", "Statement": [statement(), statement(action="CreateJob")]}, "Statement\\[1\\].Action: 'Crea"),
        ({"Version": "1", "Statement": [statement(action=[])]}, "Action: \\[\\] is neither text nor a list"),
        ({"Version": "1", "Statement": [statement(resource="models/*")]}, "Resource: 'models/\\*' is neither"),
        ({"Version": "1", "Statement": [{"Effect": "Allow", "Resource": "*"}]}, "needs either Action or NotAction"),
        ({"Version": "1", "Statement": [statement() | {"NotAction": "oss:*"}]}, "needs either Action or NotAction"),
        ({"Version": "1", "Statement": [statement() | {"Condition": {}}]}, "0\\].Condition: conditions are not emul"),
        ({"Version": "1", "Statement": [statement() | {"Principal": "*"}]}, "0\\].Principal: there is no such"),
    ],
)
def test_what_is_no_policy_is_refused_with_the_place(document, says):
    with pytest.raises(ValueError, match=says):
        Policy(document)


def test_each_route_has_an_action_and_each_action_a_route(pai):
    # A registry of images asks no RAM.
    served = {each.name for each in pai.services.routes["api"] if not each.path.startswith(("/_emulator/", "/v2/"))}
    assert {call for _, call in ACTIONS} == served
    assert oss.SERVICE.keys() == OSS_SERVICE.keys()
    assert oss.BUCKET.keys() - OSS_BUCKET.keys() == {("POST", "delete")}
    assert oss.OBJECT.keys() == OSS_OBJECT.keys()
