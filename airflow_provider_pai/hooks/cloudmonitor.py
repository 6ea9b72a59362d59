"""Hook of CloudMonitor 2019-01-01: metrics and their points."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.errors import kind_of
from airflow_provider_pai.hooks.paging import all_pages, chained_pages
from airflow_provider_pai.remote import Json


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

        def page(number: int) -> tuple[list[Metric], int]:
            request = DescribeMetricMetaListRequest(namespace=namespace, page_number=number, page_size=100)
            body = self._ask("DescribeMetricMetaList", lambda: self.client.describe_metric_meta_list(request))
            resources = body.resources.resource if body.resources else None
            return [_metric(resource) for resource in resources or ()], int(body.total_count or 0)

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

        def page(token: str | None) -> tuple[list[Json], str | None]:
            request = DescribeMetricListRequest(
                namespace=namespace,
                metric_name=metric,
                dimensions=json.dumps([dict(item) for item in dimensions]),
                period=str(period),
                start_time=str(int(start * 1000)),
                end_time=str(int(end * 1000)),
                length="1440",
                next_token=token,
            )
            body = self._ask("DescribeMetricList", lambda: self.client.describe_metric_list(request))
            return json.loads(body.datapoints or "[]"), body.next_token

        return chained_pages(page)

    def _ask(self, action: str, function: Callable[[], Any]) -> Any:
        """Call, and return the answer's body.

        A refusal may come with HTTP status 200: then `Success` is false and `Code` not 200 (the SDK's response models).
        """

        def once() -> Any:
            body = function().body
            code = str(body.code or "200")
            if body.success is False or code != "200":
                status = int(code) if code.isdigit() else None
                raise kind_of(code, status)(self.service, action, str(body.message), code, status, body.request_id)
            return body

        return self.call(action, once)


def _metric(resource: Any) -> Metric:
    dimensions, periods, statistics = (
        tuple(part.strip() for part in (text or "").split(",") if part.strip())
        for text in (resource.dimensions, resource.periods, resource.statistics)
    )
    numbers = tuple(int(period) for period in periods if period.isdigit())
    return Metric(str(resource.metric_name), str(resource.unit or ""), dimensions, numbers, statistics)
