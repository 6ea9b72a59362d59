"""Operators for TensorBoards of DLC."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.inputs import Span, optional, parse_uri, required, seconds
from airflow_provider_pai.links import TensorBoardLink
from airflow_provider_pai.operators.base import PaiOperator
from airflow_provider_pai.remote import Json
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dlc.tensorboards import TensorBoardHook

_PATIENCE = timedelta(minutes=10)


class _TensorBoardOperator(PaiOperator["TensorBoardHook"]):
    @property
    def hook_class(self) -> type[TensorBoardHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dlc.tensorboards import TensorBoardHook

        return TensorBoardHook


class DlcStartTensorBoardOperator(_TensorBoardOperator):
    """Start a TensorBoard over a log folder; a folder has one, which is found again and started again.

    API: CreateTensorboard, StartTensorboard.

    :param log_uri: `oss://bucket/prefix` that a job writes its events to. (templated)
    :param job_id: the DLC job that it shows. (templated)
    :param max_running_time: after this the service itself stops it: `4h`, a timedelta or seconds, of which the service
        counts whole minutes.
    :param poll_interval: seconds between two looks while it starts.
    :returns: `{"tensorboard_id", "status", "url"}`.
    """

    about = "Start a TensorBoard over {log_uri}"
    came = "TensorBoard {tensorboard_id} is {status}: {url}"

    operator_extra_links = (TensorBoardLink(),)
    template_fields: Sequence[str] = ("log_uri", "job_id")

    def __init__(
        self,
        *,
        log_uri: str,
        job_id: str | None = None,
        max_running_time: timedelta | float | str = timedelta(hours=4),
        poll_interval: Span = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.log_uri = log_uri
        self.job_id = job_id
        self.max_running_time = max_running_time
        self.poll_interval = seconds("poll_interval", poll_interval)

    def carry_out(self, context: Any) -> Json:
        """Start it and wait until it is up."""
        hook = self.hook
        tensorboard_id = self._started(parse_uri("log_uri", self.log_uri).folder)
        board = hook.wait(
            tensorboard_id,
            poll_interval=self.poll_interval,
            deadline=hook.clock.utc() + _PATIENCE,
            # One that was just started may be told as Stopped for a moment.
            until=lambda board: board.status in hook.states.succeeded | hook.states.broken,
        )
        if board.status not in hook.states.succeeded:
            raise hook.failure(board)
        TensorBoardLink.persist(context, board.facts["url"])
        return {"tensorboard_id": tensorboard_id, "status": board.status, "url": board.facts["url"]}

    def _started(self, logs: OssUri) -> str:
        """Return the id of the folder's TensorBoard, which is up or on its way."""
        body = self._body(logs)
        hook = self.hook
        name = "airflow-" + hashlib.sha256(f"{hook.connection.deployment}\0{logs}".encode()).hexdigest()[:24]
        known = hook.named(name)
        if known is None:
            return hook.create({"DisplayName": name, **body})
        if hook.get(known).status in hook.states.resting:
            hook.start(known)
        self.log.info("Going on with TensorBoard %s of this folder", known)
        return known

    def _body(self, logs: OssUri) -> Json:
        job_id = optional("job_id", self.job_id, "the id of a DLC job")
        body: Json = {
            "DataSourceType": "OSS",
            "Uri": self.oss.mount_uri(logs),
            "SummaryRelativePath": "/",
            "MaxRunningTimeMinutes": int(seconds("max_running_time", self.max_running_time, least=60) // 60),
        }
        return {**body, "JobId": job_id, "SourceType": "job", "SourceId": job_id} if job_id else body


class DlcStopTensorBoardOperator(_TensorBoardOperator):
    """Stop a TensorBoard; one that has stopped or is gone is no error. API: StopTensorboard.

    :param tensorboard_id: the TensorBoard. (templated)
    """

    about = "Stop TensorBoard {tensorboard_id}"
    came = "TensorBoard {tensorboard_id} is stopped"

    template_fields: Sequence[str] = ("tensorboard_id",)

    def __init__(self, *, tensorboard_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tensorboard_id = tensorboard_id

    def carry_out(self, context: Any) -> None:
        """Stop it."""
        self.hook.stop(required("tensorboard_id", self.tensorboard_id, "the id of a TensorBoard"))
