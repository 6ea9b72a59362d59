"""The part of Airflow's public REST API (v2) that demo and tests use."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from airflow_provider_pai.testing.processes import ComponentError

Json = dict[str, Any]


class AirflowApiError(Exception):
    """Airflow refused a request; the message is its own."""

    def __init__(self, what: str, status: int, answer: str) -> None:
        super().__init__(f"Airflow: {what} answered {status}: {answer[:500]}")
        self.status = status


class AirflowApi:
    """A signed-in client.

    :param url: base URL of the API server.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=120)
        token = self._client.post("/auth/token", json={"username": user, "password": password})
        token.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def request(self, method: str, path: str, **arguments: Any) -> Json:
        """Call the API and return its JSON; an answer that is no success raises with the server's words."""
        answer = self._client.request(method, f"/api/v2{path}", **arguments)
        if answer.is_error:
            raise AirflowApiError(f"{method} {path}", answer.status_code, answer.text)
        found: Json = answer.json()
        return found

    def found(self, method: str, path: str, **arguments: Any) -> Json | None:
        """Call the API and return its JSON; None: there is no such thing."""
        try:
            return self.request(method, path, **arguments)
        except AirflowApiError as error:
            if error.status != 404:
                raise
            return None

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Return once the DAG processor has read the DAG; an import error raises with its trace."""
        deadline = time.monotonic() + timeout
        while True:
            for error in self.request("GET", "/importErrors")["import_errors"]:
                raise ComponentError(f"{error['filename']} does not import:\n{error['stack_trace']}")
            found = self.request("GET", "/dags", params={"dag_id_pattern": dag_id})["dags"]
            if any(dag["dag_id"] == dag_id for dag in found):
                return
            if time.monotonic() > deadline:
                raise ComponentError(f"the DAG processor did not find {dag_id} in {timeout:.0f} s")
            time.sleep(0.5)

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Pause or un-pause a DAG."""
        self.request("PATCH", f"/dags/{dag_id}", json={"is_paused": paused})

    def trigger(self, dag_id: str, start: datetime, end: datetime, conf: Json) -> str:
        """Create the run of one data interval and return its id.

        It may run at once; runs that wait for one another run in the order of their intervals.
        """
        body = {
            "logical_date": start.isoformat(),
            "data_interval_start": start.isoformat(),
            "data_interval_end": end.isoformat(),
            "run_after": min(end, datetime.now(UTC)).isoformat(),
            "conf": conf,
        }
        return str(self.request("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[Json]:
        """Return the DAG's runs in the order of their data intervals."""
        return self._all(f"/dags/{dag_id}/dagRuns", "dag_runs", order_by="run_after")

    def run(self, dag_id: str, run_id: str) -> Json:
        """Return one run."""
        return self.request("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Return the run's task instances."""
        return self._all(f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances", "task_instances")

    def all_task_instances(self, **query: Any) -> list[Json]:
        """Return the task instances of all runs that a query names, e.g. `state="running"`."""
        return self._all("/dags/~/dagRuns/~/taskInstances", "task_instances", **query)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return an XCom as JSON, None if the task left none."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        found = self.found("GET", path, params={"deserialize": False})
        return found and found["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> list[str]:
        """Return the messages of a task try's log; an exception is a message of its own."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/logs/{try_number}"
        one = {"map_index": map_index}
        content = self.request("GET", path, params=one, headers={"Accept": "application/json"})["content"]
        return [message for line in content for message in _messages(line)]

    def backfill(
        self, dag_id: str, first: datetime, last: datetime, conf: Json, *, parallel: int, behavior: str = "none"
    ) -> int:
        """Start a backfill of the runs with logical dates from first to last; return its id.

        :param behavior: which runs that are there are made again: none, failed, completed.

        With SQLite Airflow refuses it (503) while another part of Airflow writes: asked again then.
        """
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "dag_run_conf": conf,
            "max_active_runs": parallel,
            "reprocess_behavior": behavior,
        }
        for pause in (0.2, 0.5, *[2] * 20, 0):
            try:
                return int(self.request("POST", "/backfills", json=body)["id"])
            except AirflowApiError as error:
                if error.status != 503 or not pause:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def backfill_done(self, backfill_id: int) -> bool:
        """Tell whether Airflow has marked the backfill as completed."""
        return self.request("GET", f"/backfills/{backfill_id}")["completed_at"] is not None

    def _all(self, path: str, key: str, **query: Any) -> list[Json]:
        found: list[Json] = []
        while True:
            page = self.request("GET", path, params={**query, "limit": 100, "offset": len(found)})
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found


def _messages(line: Any) -> list[str]:
    if not isinstance(line, dict):
        return [str(line)]
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or ()]
    return [str(line.get("event", "")), *errors]
