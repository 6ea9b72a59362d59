"""Hook of TensorBoards of DLC 2020-12-03: pages over a log folder on OSS."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from airflow_provider_pai.hooks.answers import Needed, Page
from airflow_provider_pai.hooks.dlc.jobs import PAGE_SIZE
from airflow_provider_pai.hooks.dlc.spans import newest_first
from airflow_provider_pai.hooks.jobs import WatchedHook
from airflow_provider_pai.hooks.paging import all_items
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import DLC_TENSORBOARD

# What is read of answers.
_MADE = {"TensorboardId": Needed(str)}
_BOARD = {"Status": Needed(str), "ReasonCode": str, "ReasonMessage": str, "TensorboardUrl": str}
_BOARDS = Page("Tensorboards", {"TensorboardId": Needed(str), "DisplayName": str})


class TensorBoardHook(WatchedHook):
    """TensorBoards, which the API spells Tensorboards.

    API: alibabacloud_pai_dlc20201203.client.Client.
    """

    service = "dlc"
    states = DLC_TENSORBOARD
    page = "/dlc/tensorboard"  # a list: there is no page for one

    def create(self, body: Json) -> str:
        """Create a TensorBoard from a CreateTensorboard body in the API's field names and return its id.

        One with a name is asked for again where no answer came, unless one that bears the name is there by then.
        """
        from alibabacloud_pai_dlc20201203.models import CreateTensorboardRequest

        name, asked = body.get("DisplayName"), False
        request = CreateTensorboardRequest().from_map({"WorkspaceId": self.connection.workspace_id, **body})

        def once() -> str:
            nonlocal asked
            if asked and name and (made := self.named(name)):
                return made
            asked = True
            create = partial(self.client.create_tensorboard, request)
            return str(self.ask("CreateTensorboard", create, _MADE, repeatable=False)["TensorboardId"])

        return self.call("CreateTensorboard", once, repeatable=bool(name))

    def describe(self, tensorboard_id: str) -> Json:
        """Return GetTensorboard's answer in the API's field names."""
        from alibabacloud_pai_dlc20201203.models import GetTensorboardRequest

        request = GetTensorboardRequest(workspace_id=self.connection.workspace_id)
        return self.ask("GetTensorboard", lambda: self.client.get_tensorboard(tensorboard_id, request), _BOARD)

    def get(self, tensorboard_id: str) -> RemoteJob:
        """Describe one TensorBoard; its page's address is the fact `url`."""
        board = self.describe(tensorboard_id)
        return RemoteJob(
            job_id=tensorboard_id,
            status=board.get("Status") or "",
            reason_code=board.get("ReasonCode"),
            reason=board.get("ReasonMessage"),
            facts={"url": board.get("TensorboardUrl") or ""},
        )

    def named(self, name: str) -> str | None:
        """Return the id of the newest TensorBoard of exactly this name."""
        from alibabacloud_pai_dlc20201203.models import ListTensorboardsRequest

        def listed(start: str, end: str | None) -> Iterator[Json]:
            def page(number: int) -> Json:
                request = ListTensorboardsRequest(
                    display_name=name,
                    start_time=start,
                    end_time=end,
                    sort_by="GmtCreateTime",
                    order="desc",
                    page_number=number,
                    page_size=PAGE_SIZE,
                    workspace_id=self.connection.workspace_id,
                )
                return self.ask("ListTensorboards", lambda: self.client.list_tensorboards(request), _BOARDS)

            return all_items("Tensorboards", page)

        boards = newest_first(self, listed, "TensorboardId")
        return next((str(board["TensorboardId"]) for board in boards if board.get("DisplayName") == name), None)

    def start(self, tensorboard_id: str) -> None:
        """Start one that has stopped."""
        from alibabacloud_pai_dlc20201203.models import StartTensorboardRequest

        request = StartTensorboardRequest(workspace_id=self.connection.workspace_id)
        self.ask("StartTensorboard", lambda: self.client.start_tensorboard(tensorboard_id, request))

    def stop(self, tensorboard_id: str) -> None:
        """Stop one; one that has stopped or is gone is no error."""
        from alibabacloud_pai_dlc20201203.models import StopTensorboardRequest

        request = StopTensorboardRequest(workspace_id=self.connection.workspace_id)
        self.insist(
            "StopTensorboard",
            lambda: self.client.stop_tensorboard(tensorboard_id, request),
            lambda: self.going(tensorboard_id, self.states.resting),
        )
