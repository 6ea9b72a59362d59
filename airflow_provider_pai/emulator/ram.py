"""RAM policies: statements, and what they say of an action on a resource.

Rules followed: "Policy structure and syntax", "Policy elements" and "Policy evaluation process" of RAM. Conditions are
not emulated: a policy that has one is refused, for it would allow more here than it does in the cloud.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_POLICY = {"Version", "Statement"}
_STATEMENT = {"Effect", "Action", "NotAction", "Resource", "Sid"}
_ACTION = re.compile(r"\*|[a-z0-9-]+:[A-Za-z0-9*]+", re.IGNORECASE)


class Denial(NamedTuple):
    """What no policy allows, or one forbids."""

    action: str
    explicit: bool
    """A Deny statement says so; else no Allow statement says otherwise."""

    def detail(self, account_id: str, access_key_id: str) -> dict[str, str]:
        """Return the `AccessDeniedDetail` of a refusal."""
        return {
            "PolicyType": "AccountLevelIdentityBasedPolicy",
            "AuthPrincipalOwnerId": account_id,
            "AuthPrincipalType": "SubUser",
            "AuthPrincipalDisplayName": access_key_id,
            "NoPermissionType": "ExplicitDeny" if self.explicit else "ImplicitDeny",
            "AuthAction": self.action,
        }


class _Statement(NamedTuple):
    allows: bool
    actions: re.Pattern[str]
    but: bool
    """All actions but these."""
    resources: re.Pattern[str]

    def covers(self, action: str, resource: str) -> bool:
        return bool(self.actions.fullmatch(action)) != self.but and bool(self.resources.fullmatch(resource))


class Policy:
    """A policy document, read.

    :raises ValueError: it is none, naming the place and what is wrong there.
    """

    def __init__(self, document: Any) -> None:
        _check_keys("policy", document, _POLICY)
        if document.get("Version") != "1":
            raise ValueError(f"Version: {document.get('Version')!r} is not '1'")
        statements = document.get("Statement")
        if not isinstance(statements, list) or not statements:
            raise ValueError(f"Statement: {statements!r} is no list of statements")
        self._statements = [_statement(f"Statement[{index}]", each) for index, each in enumerate(statements)]
        self.document: dict[str, Any] = document

    def denial(self, action: str, resource: str) -> Denial | None:
        """Return why an action is refused, None where it is allowed: Deny wins, and nothing is allowed by itself.

        :param resource: its ARN; `*` for what can be allowed for all resources alone.
        """
        verdicts = {each.allows for each in self._statements if each.covers(action, resource)}
        return None if verdicts == {True} else Denial(action, explicit=False in verdicts)


def _statement(place: str, statement: Any) -> _Statement:
    _check_keys(place, statement, _STATEMENT)
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise ValueError(f"{place}.Effect: {statement.get('Effect')!r} is neither 'Allow' nor 'Deny'")
    named = [name for name in ("Action", "NotAction") if name in statement]
    if len(named) != 1:
        raise ValueError(f"{place}: it needs either Action or NotAction")
    actions = _texts(f"{place}.{named[0]}", statement[named[0]])
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise ValueError(f"{place}.{named[0]}: {action!r} is no action such as 'paidlc:CreateJob' or 'oss:Get*'")
    resources = _texts(f"{place}.Resource", statement.get("Resource"))
    for resource in resources:
        if resource != "*" and not resource.startswith("acs:"):
            raise ValueError(f"{place}.Resource: {resource!r} is neither '*' nor an ARN such as 'acs:oss:*:*:bucket/*'")
    # "In most cases not case-sensitive", says "Policy elements" of actions.
    return _Statement(
        statement["Effect"] == "Allow",
        _pattern(actions, re.IGNORECASE),
        named[0] == "NotAction",
        _pattern(resources),
    )


def _check_keys(place: str, value: Any, known: set[str]) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{place}: {value!r} is no JSON object")  # noqa: TRY004 - a document's content
    if "Condition" in value:
        raise ValueError(f"{place}.Condition: conditions are not emulated; leave it out to try the policy here")
    if unknown := sorted(value.keys() - known):
        raise ValueError(f"{place}.{unknown[0]}: there is no such element; there are {', '.join(sorted(known))}")


def _texts(place: str, value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"{place}: {value!r} is neither text nor a list of texts")
    return texts


def _pattern(texts: list[str], flags: int = 0) -> re.Pattern[str]:
    """Return what matches any of some texts, in which `*` stands for any number of characters."""
    return re.compile("|".join(re.escape(text).replace(r"\*", ".*") for text in texts), flags | re.DOTALL)
