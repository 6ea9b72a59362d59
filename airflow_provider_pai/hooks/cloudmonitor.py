"""Hook of CloudMonitor 2019-01-01: points of a metric."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.paging import chained_pages
from airflow_provider_pai.remote import Json


class CloudMonitorHook(PaiHook):
    """Metrics of cloud services.

    API: alibabacloud_cms20190101.client.Client.
    """

    service = "cms"

    def ping(self) -> None:
        """Ask for a metric of ECS; that there is none is an answer, too."""
        now = self.clock.now()
        with suppress(PaiNotFoundError):
            next(self.points("acs_ecs_dashboard", "CPUUtilization", [], period=60, start=now - 60, end=now), None)

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
            body = self.call("DescribeMetricList", lambda: self.client.describe_metric_list(request)).body
            return json.loads(body.datapoints or "[]"), body.next_token

        return chained_pages(page)
