"""`python -m demo.pictures`: play the demo's nights, somewhat slower, and make the pictures of docs/ of them."""

from __future__ import annotations

import json
import sys

from airflow_provider_pai.testing.airflow_api import AirflowApi
from airflow_provider_pai.testing.stack import USER
from demo.__main__ import Demo, play
from demo.form import NIGHTLY
from demo.pictures.browser import PICTURES, Browser
from demo.pictures.chart import Look, chart
from demo.pictures.shots import Shots
from demo.watch import DAG_ID

# Of the nights' DAG, unless it is told otherwise.
_MAX_ERROR_RATE = 0.05


class Pictures(Demo):
    """The demo with steps that are long enough for a chart, and a model that is not found out at the first look."""

    nightly = NIGHTLY | {"step_seconds": 12, "min_requests": 20}
    bad = {"fail_share": 0.1}

    def __init__(self) -> None:
        super().__init__(ui=True)

    def after(self) -> None:
        """Make the pictures; of nights that did not go as told there are none."""
        nights = [night for night in self._report.nights if night["deployment"]["outcome"] != "unchanged"]
        if self._report.served["version"] is None:
            return
        stack = self._stack
        api = AirflowApi(stack.url, USER, stack.password)
        for name, night in (("good", nights[1]), ("bad", nights[2])):
            end, summary = (api.xcom(DAG_ID, night["run_id"], "deploy", key) for key in ("return_value", "summary"))
            told = {"title": f"A {name} rollout", "outcome": end["outcome"], "summary": summary}
            picture = chart(record(end["verdicts"]), **told, max_error_rate=_MAX_ERROR_RATE)
            (PICTURES / f"canary-{name}.svg").write_text(picture)
        runs, console = [night["run_id"] for night in nights], stack.pai["console_url"].format(service="pai")
        with Browser(stack.url, stack.password) as browser:
            Shots(browser, api, self._progress.say, nights=runs, console=f"{console}/").take()


def record(uri: str) -> list[Look]:
    """Return every look at a candidate, as it stands on OSS."""
    from airflow_provider_pai.hooks.oss import OssHook

    return [json.loads(line) for line in OssHook().get(uri).splitlines()]


if __name__ == "__main__":
    sys.exit(play(Pictures()))
