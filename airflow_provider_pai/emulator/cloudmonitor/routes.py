"""Routes of CloudMonitor 2019-01-01, an API in RPC style."""

from __future__ import annotations

import json

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.cloudmonitor.backend import LONGEST_PAGE, CloudMonitorBackend
from airflow_provider_pai.emulator.errors import ApiError, InvalidParameterError
from airflow_provider_pai.emulator.queries import whole_number
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Action, Call, api_route

VERSION = "2019-01-01"
_SUCCESS = {"Code": "200", "Success": True}


def routes(account: Account, backend: CloudMonitorBackend) -> list[BaseRoute]:
    """Return the route of each action."""
    calls = _Calls(backend)
    actions = [
        Action("POST", "/", "DescribeMetricLast", calls.last),
        Action("POST", "/", "DescribeMetricList", calls.list),
        Action("POST", "/", "DescribeMetricMetaList", calls.meta),
    ]
    return [api_route(account, VERSION, action) for action in actions]


class _Calls:
    """One method per action: reads the call, asks the backend, shapes the answer."""

    def __init__(self, backend: CloudMonitorBackend) -> None:
        self.backend = backend

    def last(self, call: Call) -> Json:
        return self._points(call, newest_only=True)

    def list(self, call: Call) -> Json:
        return self._points(call)

    def _points(self, call: Call, *, newest_only: bool = False) -> Json:
        try:
            query = self.backend.query(call.query)
        except ApiError as error:
            if self.backend.account.world.cms_refusal == "status":
                raise
            return {"Code": str(error.status), "Success": False, "Message": error.message}
        points = list(self.backend.points(query))
        if newest_only:
            points = list({point["serviceName"]: point for point in points}.values())
        return _answer(call, points, query.period)

    def meta(self, call: Call) -> Json:
        number, size = call.paging(30)
        metrics = self.backend.metrics(call.query.get("Namespace"), call.query.get("MetricName"))
        page = metrics[(number - 1) * size : number * size]
        return {**_SUCCESS, "Resources": {"Resource": page}, "TotalCount": str(len(metrics))}


def _answer(call: Call, points: list[Json], period: int) -> Json:
    """Cut a page; NextToken is the place at which the next one begins."""
    length, begin = call.integer("Length", 1000), whole_number(call.query.get("NextToken") or "0")
    if not 0 < length <= LONGEST_PAGE:
        raise InvalidParameterError(f"Length must be from 1 to {LONGEST_PAGE}, not {length}.")
    if begin is None or begin < 0:
        raise InvalidParameterError("NextToken is not one that was returned.")
    end = begin + length
    answer = {**_SUCCESS, "Datapoints": json.dumps(points[begin:end]), "Period": str(period)}
    return {**answer, "NextToken": str(end)} if end < len(points) else answer
