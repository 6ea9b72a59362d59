"""Jobs of DLC: state and rules."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.aiworkspace.backend import AIWorkspaceBackend
from airflow_provider_pai.emulator.dlc.job import KIND, RESERVING, Job
from airflow_provider_pai.emulator.dlc.life import Life, clean_up, log_file
from airflow_provider_pai.emulator.dlc.listing import matches, order
from airflow_provider_pai.emulator.dlc.quotas import Quotas
from airflow_provider_pai.emulator.dlc.rules import check_choice, check_create, check_number
from airflow_provider_pai.emulator.ecs import describe_spec, filter_specs
from airflow_provider_pai.emulator.errors import ApiError, NotFoundError
from airflow_provider_pai.emulator.labels import check as check_labels
from airflow_provider_pai.emulator.queries import page
from airflow_provider_pai.emulator.runtime.logs import read_log
from airflow_provider_pai.emulator.runtime.mounts import FolderSource, check_mounts
from airflow_provider_pai.emulator.types import Json

_PREPARED = ("Creating", "Bidding", "EnvPreparing", "SanityChecking")
_BEFORE_RUNNING = ("Queuing", *_PREPARED)


class DlcBackend:
    """All jobs of the account; a restarted emulator knows those of before."""

    def __init__(self, account: Account, workspaces: AIWorkspaceBackend, oss: FolderSource) -> None:
        self.account = account
        self._workspaces = workspaces
        self._oss = oss
        self.quotas = Quotas(account.settings.quotas)
        self._jobs = {document["JobId"]: Job(account, document) for document in account.store.all(KIND)}
        self._lives: dict[str, Life] = {}
        for job in self._jobs.values():
            self._close_interrupted(job)

    def _close_interrupted(self, job: Job) -> None:
        """End a job whose pods ended with an earlier emulator."""
        if job.final:
            return
        clean_up(self._folder(job))
        for pod in job.document["Pods"]:
            if pod["Status"] in ("Pending", "Running"):
                pod["Status"] = "Failed"
        if job.status in ("Stopping", *RESERVING):
            result = RESERVING.get(job.status, "Stopped")
            job.move(result, job.document["ReasonCode"], job.document["ReasonMessage"])
        else:
            job.move("Failed", "EmulatorRestarted", "The emulator was restarted while the job was active.")

    def create(self, request: Json) -> Json:
        """Create a job and start its life."""
        check_create(request)
        if self.account.world.dlc_tags == "ruled":
            check_labels((request.get("Settings") or {}).get("Tags") or {}, "Settings.Tags")
        workspace_id = self._workspaces.check_workspace(request.get("WorkspaceId"))
        checkout = self._workspaces.checkout(request["CodeSource"]) if request.get("CodeSource") else None
        paths = [source["MountPath"] for source in request.get("DataSources") or []]
        check_mounts([*paths, checkout.mount_path] if checkout else paths)
        defaults = {"Priority": 1, "Accessibility": "PRIVATE"}
        job = Job.create(self.account, {**defaults, **request, "WorkspaceId": workspace_id})
        self._jobs[job.id] = job
        self._lives[job.id] = Life(
            self.account, job, folder=self._folder(job), quotas=self.quotas, oss=self._oss, checkout=checkout
        )
        return {"JobId": job.id}

    def get(self, job_id: str, need_detail: bool = True) -> Json:
        """Return one job."""
        return self.job(job_id).describe(need_detail)

    def list(self, query: dict[str, str], tags: dict[str, str], number: int, size: int) -> Json:
        """List jobs, one page."""
        now, world = self.account.now(), self.account.world
        moment = now.timestamp() - self.account.settings.list_lag
        wanted = matches(query, tags, now, world.dlc_list_days)
        known = (job.as_of(moment) for job in self._jobs.values())
        jobs = order(query, [job for job in known if job is not None and wanted(job)])
        shown = page(jobs, number, size, world.dlc_list_page)
        return {"Jobs": [job.item() for job in shown], "TotalCount": len(jobs)}

    def update(self, job_id: str, request: Json) -> Json:
        """Change a job's priority or make it public; what has no effect is accepted all the same."""
        job = self.job(job_id)
        check_number("Priority", request.get("Priority"), 1, 9)
        check_choice("Accessibility", request.get("Accessibility"), ("PUBLIC",))
        changes = {name: request[name] for name in ("Accessibility", "Description") if request.get(name)}
        if request.get("Priority") and job.request.get("ResourceId") and job.status in _BEFORE_RUNNING:
            changes["Priority"] = request["Priority"]
        job.request.update(changes)
        job.save()
        self.quotas.admit()
        return {"JobId": job_id}

    def stop(self, job_id: str) -> Json:
        """Begin to stop an active job; one that has its result and is only held goes on to that result.

        :raises ApiError: 400 BadRequest when the job has ended, or is being prepared where the world refuses that.
        """
        job = self.job(job_id)
        if job.final or (job.status in _PREPARED and self.account.world.dlc_stop_creating == "refused"):
            raise ApiError(400, "BadRequest", f"Job {job_id} is {job.status} and cannot be stopped.")
        self._lives[job_id].stop("JobStoppedByUser", "The job was stopped by the user.")
        return {"JobId": job_id}

    def delete(self, job_id: str) -> Json:
        """Delete a job that has ended, with its logs.

        :raises ApiError: 400 BadRequest when the job is active.
        """
        job = self.job(job_id)
        if not job.final:
            raise ApiError(400, "BadRequest", f"Job {job_id} is {job.status}; stop it before deleting it.")
        self.account.store.delete(KIND, job_id)
        self._jobs.pop(job_id)
        self._lives.pop(job_id, None)
        shutil.rmtree(self._folder(job), ignore_errors=True)
        return {"JobId": job_id}

    def evict(self, job_id: str, pod_id: str | None = None) -> Sequence[str]:
        """End one running pod, or all of a job, as a preemption does; returns the ids of those pods.

        :raises ApiError: 400 BadRequest when none of them is running.
        """
        job = self.job(job_id)
        pods = [self._pod(job, pod_id)] if pod_id else job.document["Pods"]
        running = [pod["PodId"] for pod in pods if pod["Status"] == "Running"]
        if not running:
            raise ApiError(400, "BadRequest", f"No pod of job {job_id} that could be evicted is running.")
        for each in running:
            self._lives[job_id].evict(each)
        return running

    def logs(self, job_id: str, pod_id: str, pod_uid: str, span: tuple[datetime, datetime], limit: int) -> Json:
        """Return the newest lines of one pod's log, of its present life unless a uid is given."""
        job = self.job(job_id)
        pod = self._pod(job, pod_id)
        lives = {life["PodUid"] for life in [pod, *pod["HistoryPods"]]}
        uid = pod_uid or pod["PodUid"]
        if uid not in lives:
            raise NotFoundError(f"Pod {pod_id} has no life {uid}.")
        lines = read_log(log_file(self._folder(job), uid), *span, limit)
        return {"JobId": job_id, "PodId": pod_id, "PodUid": uid, "Logs": lines}

    def pod_events(self, job_id: str, pod_id: str, span: tuple[datetime, datetime], limit: int) -> Json:
        """Return the newest events of one pod."""
        job = self.job(job_id)
        pod = self._pod(job, pod_id)
        events = job.events(*span, limit, pod_id)
        return {"JobId": job_id, "PodId": pod_id, "PodUid": pod["PodUid"], "Events": events}

    def job_events(self, job_id: str, span: tuple[datetime, datetime], limit: int) -> Json:
        """Return the newest events of a job and its pods."""
        return {"JobId": job_id, "Events": self.job(job_id).events(*span, limit)}

    def ecs_specs(self, query: dict[str, str], number: int, size: int) -> Json:
        """List instance types, one page."""
        specs = filter_specs(query)
        return {
            "EcsSpecs": [describe_spec(spec) for spec in page(specs, number, size)],
            "TotalCount": len(specs),
        }

    def _folder(self, job: Job) -> Path:
        return self.account.data / "dlc" / job.id

    def job(self, job_id: str) -> Job:
        """Return one job.

        :raises NotFoundError: when there is none.
        """
        if job_id not in self._jobs:
            raise NotFoundError(f"Job {job_id} does not exist.")
        return self._jobs[job_id]

    def _pod(self, job: Job, pod_id: str) -> Json:
        pod = job.pod(pod_id)
        if pod is None:
            raise NotFoundError(f"Job {job.id} has no pod {pod_id}.")
        return pod
