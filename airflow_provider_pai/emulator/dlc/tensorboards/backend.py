"""TensorBoards of DLC: state and rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.aiworkspace.backend import AIWorkspaceBackend
from airflow_provider_pai.emulator.dlc.backend import DlcBackend
from airflow_provider_pai.emulator.dlc.rules import check_choice, check_number
from airflow_provider_pai.emulator.dlc.tensorboards.board import KIND, Board
from airflow_provider_pai.emulator.dlc.tensorboards.folders import find_folders
from airflow_provider_pai.emulator.dlc.tensorboards.life import Life, erase
from airflow_provider_pai.emulator.errors import ApiError, InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.queries import choice, fuzzy, page
from airflow_provider_pai.emulator.runtime.mounts import FolderSource
from airflow_provider_pai.emulator.types import Json

SORT_KEYS: dict[str, Callable[[Board], object]] = {
    "GmtCreateTime": lambda board: board.document["CreatedAt"],
    "DisplayName": lambda board: board.request.get("DisplayName") or "",
}
EQUAL: dict[str, Callable[[Board], str | None]] = {
    "Status": lambda board: board.status,
    "TensorboardId": lambda board: board.id,
    "JobId": lambda board: board.document["JobId"],
    "SourceId": lambda board: board.request.get("SourceId"),
    "SourceType": lambda board: board.request.get("SourceType"),
    "WorkspaceId": lambda board: board.request["WorkspaceId"],
    "QuotaId": lambda board: board.request.get("QuotaId"),
    "PaymentType": lambda board: board.payment,
    "Accessibility": lambda board: board.request["Accessibility"],
}


class TensorboardBackend:
    """All TensorBoards of the account; a restarted emulator knows those of before."""

    def __init__(self, account: Account, workspaces: AIWorkspaceBackend, oss: FolderSource, jobs: DlcBackend) -> None:
        self.account = account
        self._workspaces = workspaces
        self._oss = oss
        self._jobs = jobs
        self._boards = {document["TensorboardId"]: Board(account, document) for document in account.store.all(KIND)}
        self._lives: dict[str, Life] = {}
        for board in self._boards.values():
            if board.active:
                erase(self._folder(board))
                board.move("Stopped", "EmulatorRestarted", "The emulator was restarted while it was active.")

    def create(self, request: Json) -> Json:
        """Create one and start it."""
        _check(request)
        workspace_id = self._workspaces.check_workspace(request.get("WorkspaceId"))
        job_id = request.get("JobId") or (request.get("SourceId") if request.get("SourceType") == "job" else None)
        job = self._jobs.job(job_id) if job_id else None
        folders = find_folders(request, job, self._jobs.job)
        defaults = {"Accessibility": "PRIVATE", "Priority": "1"}
        board = Board.create(self.account, {**defaults, **request, "WorkspaceId": workspace_id}, job_id, folders)
        self._boards[board.id] = board
        self._begin(board)
        return {"TensorboardId": board.id, "JobId": job_id}

    def get(self, board_id: str) -> Json:
        """Return one."""
        return self._board(board_id).describe()

    def list(self, query: dict[str, str], span: tuple[datetime, datetime], number: int, size: int) -> Json:
        """List those created between two times, one page; newest first by default."""
        key = SORT_KEYS[choice(query, "SortBy", "GmtCreateTime", tuple(SORT_KEYS))]
        boards = [board for board in self._boards.values() if _matches(board, query, span)]
        boards.sort(key=key, reverse=choice(query, "Order", "desc", ("desc", "asc")) == "desc")  # type: ignore[arg-type]
        return {"Tensorboards": [board.describe() for board in page(boards, number, size)], "TotalCount": len(boards)}

    def start(self, board_id: str) -> Json:
        """Start one that has ended.

        :raises ApiError: 400 BadRequest when it is active.
        """
        board = self._board(board_id)
        if board.active:
            raise ApiError(400, "BadRequest", f"TensorBoard {board_id} is {board.status} and cannot be started.")
        board.move("Creating")
        self._begin(board)
        return {"TensorboardId": board_id}

    def stop(self, board_id: str) -> Json:
        """Begin to stop one.

        :raises ApiError: 400 BadRequest when it has ended.
        """
        board = self._board(board_id)
        if not board.active:
            raise ApiError(400, "BadRequest", f"TensorBoard {board_id} is {board.status} and cannot be stopped.")
        self._lives[board_id].stop("StoppedByUser", "The TensorBoard was stopped by the user.")
        return {"TensorboardId": board_id}

    def delete(self, board_id: str) -> Json:
        """Delete one; its process ends if it runs."""
        self._board(board_id).delete()
        self._boards.pop(board_id)
        if life := self._lives.pop(board_id, None):
            life.stop("DeletedByUser", "The TensorBoard was deleted by the user.")
        return {"TensorboardId": board_id}

    def _begin(self, board: Board) -> None:
        self._lives[board.id] = Life(self.account, board, self._folder(board), self._oss)

    def _folder(self, board: Board) -> Path:
        return self.account.data / "dlc" / board.id

    def _board(self, board_id: str) -> Board:
        if board_id not in self._boards:
            raise NotFoundError(f"TensorBoard {board_id} does not exist.")
        return self._boards[board_id]


def _check(request: Json) -> None:
    for field in ("Cpu", "Memory", "MaxRunningTimeMinutes"):
        check_number(field, request.get(field), 1)
    check_choice("Accessibility", request.get("Accessibility"), ("PUBLIC", "PRIVATE"))
    check_choice("Priority", request.get("Priority"), tuple("123456789"))
    if request.get("SourceType") not in (None, "", "job"):
        raise InvalidParameterError(f"SourceType must be job, not {request['SourceType']!r}.")


def _matches(board: Board, query: dict[str, str], span: tuple[datetime, datetime]) -> bool:
    return (
        span[0] <= board.created <= span[1]
        and fuzzy(query.get("DisplayName"), board.request.get("DisplayName") or "")
        and all(query.get(name) in (None, "", read(board)) for name, read in EQUAL.items())
    )
