"""Shots: which pages of Airflow and of the emulator are shown, and what is done there before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from airflow_provider_pai.testing.airflow_api import AirflowApi
from demo.pictures.browser import Browser
from demo.watch import DAG_ID, FINISHED

Say = Callable[[str], None]

_DAG = f"/dags/{DAG_ID}"
# Left, top, right and bottom of what is shown of a page or a dialog.
_RIGHT_HALF = (414, 65, 1280, 760)
_ABOVE_PARAMETERS = (0, 0, 896, 684)
_BEHAVIOR = (0, 270, 896, 512)
_BEHAVIORS = {"missing": "Missing Runs", "failed": "Missing and Errored Runs", "all": "All Runs"}


class Shots:
    """What is shown of nights that have been played: a first model, a better one, a bad one.

    :param nights: their run ids.
    :param console: address of the emulator's pages.
    """

    def __init__(self, browser: Browser, api: AirflowApi, say: Say, *, nights: list[str], console: str) -> None:
        self._browser = browser
        self._api = api
        self._say = say
        self._console = console
        self._first, self._good, self._bad = (f"{_DAG}/runs/{run_id}/tasks" for run_id in nights)
        self._bad_run = nights[-1]

    def take(self) -> None:
        """Take all, those that change what the others show last."""
        # The scheduler looks twice a minute whether a backfill is over; until then every page has a banner.
        while any(each["completed_at"] is None for each in self._backfills()):
            self._browser.page.wait_for_timeout(1000)
        for shot in (
            self._graph,
            self._grid,
            self._training,
            self._artifact,
            self._links,
            self._connection,
            self._form,
            self._emulator,
            self._clear,
            self._behaviors,
            self._backfill,
        ):
            self._say(f"picture: {shot.__name__.strip('_')}")
            shot()

    def _backfills(self) -> list[Any]:
        backfills: list[Any] = self._api.request("GET", "/backfills", params={"dag_id": DAG_ID})["backfills"]
        return backfills

    def _graph(self) -> None:
        page = self._browser.open(_DAG)
        page.get_by_role("button", name="Collapse Details Panel").click()
        page.get_by_role("button", name="Show Graph").click()
        self._browser.save("graph", box=(76, 360, 1268, 480))
        page.get_by_role("button", name="Show Grid").click()

    def _grid(self) -> None:
        self._show_log(f"{self._bad}/deploy")
        self._browser.save("grid")

    def _training(self) -> None:
        self._show_log(f"{self._good}/train")
        self._browser.save("training", box=_RIGHT_HALF)

    def _artifact(self) -> None:
        page = self._browser.open(f"{self._good}/artifact/xcom")
        page.get_by_role("button", name="Expand").first.click()
        page.get_by_text('"version"').wait_for()
        self._browser.save("artifact", box=_RIGHT_HALF)

    def _links(self) -> None:
        self._browser.open(f"{self._good}/deploy/details").get_by_text("Extra Links").wait_for()
        self._browser.save("links", box=(414, 65, 1280, 420))

    def _connection(self) -> None:
        page = self._browser.open("/connections")
        page.get_by_role("button", name="Add Connection").click()
        page.get_by_role("combobox").last.click()
        page.keyboard.type("Alibaba")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Extra Fields", exact=True).click()
        self._browser.save("connection", of=self._browser.dialog, box=(0, 0, 896, 1000))

    def _form(self) -> None:
        page = self._browser.open("/dags/pai_canary_approval")
        page.get_by_role("button", name="Trigger").click()
        page.get_by_text("Run Parameters").wait_for()
        self._browser.save("form", of=self._browser.dialog, box=(0, 0, 896, 1000))

    def _emulator(self) -> None:
        self._browser.open(self._console)
        self._browser.save("emulator")

    def _clear(self) -> None:
        page = self._browser.open(f"{self._good}/train")
        page.get_by_role("button", name="shift+c").click()
        page.get_by_text("Affected Tasks").wait_for()
        self._browser.save("clear", of=self._browser.dialog)

    def _behaviors(self) -> None:
        """Show how many runs each way to reprocess would make."""
        self._open_backfill()
        for name, label in _BEHAVIORS.items():
            self._browser.dialog.get_by_text(label, exact=True).click()
            self._browser.save(f"backfill-{name}", of=self._browser.dialog, box=_BEHAVIOR)

    def _backfill(self) -> None:
        """Run the bad night again, from the dialog, and show what came of it."""
        page = self._open_backfill()
        self._browser.dialog.get_by_text(_BEHAVIORS["failed"], exact=True).click()
        page.get_by_text("1 run will be triggered").wait_for()
        self._browser.save("backfill", of=self._browser.dialog, box=_ABOVE_PARAMETERS)
        page.get_by_role("button", name="Run Backfill").click()
        self._until(lambda run: run["state"] == "running")
        self._browser.open(_DAG).get_by_text("Backfill in progress").wait_for()
        self._browser.widen_grid()
        self._browser.save("backfill-running", box=(0, 0, 1280, 440))
        self._until(lambda run: run["state"] in FINISHED)
        self._show_log(f"{self._bad}/deploy")
        self._browser.save("backfill-ended")

    def _show_log(self, task: str) -> None:
        """Open a task's log with the grid of all nights beside it, errors without their traceback."""
        page = self._browser.open(task)
        page.get_by_text("Post Execute").last.wait_for()
        self._browser.widen_grid()
        for details in page.locator("details[open] > summary").all():
            details.click()

    def _until(self, what: Callable[[Any], bool]) -> None:
        """Wait until something holds of the bad night's run."""
        while not what(self._api.run(DAG_ID, self._bad_run)):
            self._browser.page.wait_for_timeout(500)

    def _open_backfill(self) -> Any:
        """Open the dialog over all nights and return the page."""
        dates = [datetime.fromisoformat(run["logical_date"]) for run in self._api.runs(DAG_ID)]
        page = self._browser.open(_DAG)
        page.get_by_role("button", name="Trigger").click()
        page.get_by_text("Run this Dag for a range of dates").click()
        for moment in (min(dates), max(dates)):
            page.get_by_text("Select date and time").first.click()
            for hint, text in (("YYYY/MM/DD", f"{moment:%Y/%m/%d}"), ("HH:mm", f"{moment:%H:%M}")):
                page.get_by_placeholder(hint).locator("visible=true").fill(text)
            page.keyboard.press("Enter")
            page.get_by_text("Date Range").click()
            page.get_by_placeholder("YYYY/MM/DD").locator("visible=true").wait_for(state="hidden")
        return page
