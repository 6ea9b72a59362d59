"""Hook of CloudMonitor 2019-01-01: metrics and their points."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.hooks.answers import JsonText, Needed
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.paging import all_pages, chained_pages
from airflow_provider_pai.inputs import json_list, number, whole_number
from airflow_provider_pai.remote import Json

# What is read of answers; numbers stand there as texts, and points as a text of JSON.
_METRIC = {"MetricName": Needed(str), "Unit": str, "Dimensions": str, "Periods": str, "Statistics": str}
_METRICS = {"Resources": {"Resource": [_METRIC]}, "TotalCount": JsonText(int)}
_POINTS = {"Datapoints": JsonText([{str: object}]), "NextToken": str}


class Metric(NamedTuple):
    """What CloudMonitor tells of a metric: periods in seconds, all else in its own words."""

    name: str
    unit: str
    dimensions: tuple[str, ...]
    periods: tuple[int, ...]
    statistics: tuple[str, ...]


class CloudMonitorHook(PaiHook):
    """Metrics of cloud services.

    API: alibabacloud_cms20190101.client.Client.
    """

    service = "cms"

    def ping(self) -> None:
        """Ask for a metric of ECS; that there is none is an answer, too."""
        now = self.service_clock.now()
        with suppress(PaiNotFoundError):
            next(self.points("acs_ecs_dashboard", "CPUUtilization", [], period=60, start=now - 60, end=now), None)

    def metrics(self, namespace: str) -> list[Metric]:
        """Return the metrics of a namespace; none where there is no such namespace. API: DescribeMetricMetaList."""
        from alibabacloud_cms20190101.models import DescribeMetricMetaListRequest

        def page(number: int) -> tuple[Iterable[Metric], int]:
            request = DescribeMetricMetaListRequest(namespace=namespace, page_number=number, page_size=100)
            body = self.ask("DescribeMetricMetaList", lambda: self.client.describe_metric_meta_list(request), _METRICS)
            resources = (body.get("Resources") or {}).get("Resource") or ()
            return map(_metric, resources), int(body.get("TotalCount") or 0)

        with suppress(PaiNotFoundError):
            return list(all_pages(page))
        return []

    def points(
        self,
        namespace: str,
        metric: str,
        dimensions: Sequence[Mapping[str, str]],
        *,
        period: int,
        start: float,
        end: float,
    ) -> Iterator[Json]:
        """Yield the points of a metric in (start, end], page by page. API: DescribeMetricList.

        :param period: seconds that one point stands for.
        :param start: Unix time, as `end`.
        """
        from alibabacloud_cms20190101.models import DescribeMetricListRequest

        asked, period = json.dumps(json_list("dimensions", dimensions)), whole_number("period", period, least=1)
        since, until = (str(int(number(name, at) * 1000)) for name, at in (("start", start), ("end", end)))

        def page(token: str | None) -> tuple[list[Json], str | None]:
            request = DescribeMetricListRequest(
                namespace=namespace,
                metric_name=metric,
                dimensions=asked,
                period=str(period),
                start_time=since,
                end_time=until,
                length="1440",
                next_token=token,
            )
            body = self.ask("DescribeMetricList", lambda: self.client.describe_metric_list(request), _POINTS)
            following = body.get("NextToken")
            return json.loads(body.get("Datapoints") or "[]"), following if following != token else None

        return chained_pages(page)

    def _refuses(self, answer: Json) -> bool:
        return super()._refuses(answer) or str(answer.get("Code") or 200) != "200"


def _metric(resource: Json) -> Metric:
    dimensions, periods, statistics = (
        tuple(part.strip() for part in (resource.get(name) or "").split(",") if part.strip())
        for name in ("Dimensions", "Periods", "Statistics")
    )
    numbers = tuple(int(period) for period in periods if period.isdecimal())
    return Metric(resource["MetricName"], resource.get("Unit") or "", dimensions, numbers, statistics)
