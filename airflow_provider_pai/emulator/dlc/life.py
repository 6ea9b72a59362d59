"""Life of one job, from Creating to its end: preparing roots, running pods, restarting, stopping."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.job import MAX_RESTARTS, RESERVING, Job
from airflow_provider_pai.emulator.dlc.pods import (
    MPI,
    Pod,
    deciding,
    environment,
    is_retryable,
    mpi_files,
    new_uid,
    plan,
)
from airflow_provider_pai.emulator.dlc.quotas import Quotas
from airflow_provider_pai.emulator.ecs import is_lingjun, is_spot
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.runtime.code import Checkout, CloneError
from airflow_provider_pai.emulator.runtime.mounts import FolderSource, Mount, mount_all
from airflow_provider_pai.emulator.runtime.ports import free_ports
from airflow_provider_pai.emulator.runtime.processes import Process, see_out, stop_all
from airflow_provider_pai.emulator.runtime.root import Root
from airflow_provider_pai.emulator.types import Json

_TIME_LIMIT = "JobMaxRunningTimeExceeded"

# Exit code of what SIGKILL has ended.
_KILLED = 137

# Which results are held under a JobReservedPolicy; its values are published, its default is not.
_RESERVED = {
    None: ("Succeeded", "Failed"),
    "Always": ("Succeeded", "Failed"),
    "OnSucceed": ("Succeeded",),
    "OnFailure": ("Failed",),
}


class JobFailedError(Exception):
    """The job cannot go on; bears the ReasonCode and the ReasonMessage.

    The API publishes few codes (page JobItem: InvalidParameter, JobSucceeded, JobStoppedByUser); JobFailed and
    ResourceAllocateFailed have been seen (alibabacloud-pai-dlc-job-diagnostics). The others are the emulator's own.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Life:
    """Runs one job in the background."""

    def __init__(
        self,
        account: Account,
        job: Job,
        *,
        folder: Path,
        quotas: Quotas,
        oss: FolderSource,
        checkout: Checkout | None,
    ) -> None:
        self._account = account
        self._job = job
        self._folder = folder
        self._quotas = quotas
        self._oss = oss
        self._checkout = checkout
        self._pods = plan(job.request)
        self._ports = free_ports(len(self._pods))
        self._roots: dict[Pod, Root] = {}
        self._processes: dict[str, Process] = {}
        self._is_spot = is_spot(job.request["JobSpecs"])
        self._evicted: set[str] = set()
        self._work: asyncio.Task[None] | None = None
        self._stop_reason: tuple[str, str] | None = None
        self._released = asyncio.Event()
        account.spawn(self._live(), f"dlc-{job.id}")

    def stop(self, code: str, message: str) -> None:
        """Begin to stop; the job goes on to Stopped by itself, or to its result if it has one."""
        if self._job.status in RESERVING:
            self._released.set()
        if self._job.final or self._stop_reason or self._released.is_set():
            return
        self._stop_reason = code, message
        self._job.move("Stopping", code, message)
        if self._work is not None:
            self._work.cancel()

    def evict(self, pod_id: str) -> None:
        """End one pod as a preemption does; preemptible resources go without notice (page "Use a preemptible job")."""
        self._evicted.add(pod_id)
        if self._is_spot:
            self._processes[pod_id].hurry(0)
        self._processes[pod_id].request_stop()

    async def _live(self) -> None:
        self._work = asyncio.create_task(self._run())
        if self._stop_reason:
            self._work.cancel()
        try:
            await self._work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stop_reason is None or (task is not None and task.cancelling()):
                raise  # The emulator ends; at its next start the job is found interrupted.
            await self._account.dwell()
            status = self._account.world.dlc_time_limit if self._stop_reason[0] == _TIME_LIMIT else "Stopped"
            self._job.move(status, *self._stop_reason)
        finally:
            await see_out(asyncio.ensure_future(asyncio.to_thread(clean_up, self._folder)))

    async def _run(self) -> None:
        await self._account.dwell()
        self._job.move("Queuing")
        if self._account.world.dlc_too_large == "fails" and not self._quotas.could_fit(self._job):
            self._job.move("Failed", "ResourceAllocateFailed", "The resource type is not enough.")
            return
        async with self._quotas.room(self._job):
            await self._account.dwell()
            try:
                await self._start()
                await self._within_limit(self._run_pods())
            except JobFailedError as failure:
                result = "Failed", failure.code, failure.message
            else:
                result = "Succeeded", "JobSucceeded", "The job succeeded."
            await self._reserve(*result)
            self._job.move(*result)

    async def _start(self) -> None:
        """Go to Running; bids and sanity checks take their time and nothing else."""
        job = self._job
        if self._is_spot and is_lingjun(job.request["JobSpecs"]):
            job.move("Bidding")
            await self._account.dwell()
        job.move("EnvPreparing")
        self._pull()
        await asyncio.gather(self._prepare(), self._account.dwell())
        if job.settings.get("EnableSanityCheck"):
            job.move("SanityChecking")
            await self._account.dwell()
        job.move("Running")

    def _pull(self) -> None:
        """Pull the images, of which none of a registry whose host ends in `.invalid` is there.

        :raises JobFailedError: one can't be pulled.
        """
        for spec in self._job.request["JobSpecs"]:
            if spec["Image"].partition("/")[0].endswith(".invalid"):
                self._job.event(f'Failed to pull image "{spec["Image"]}": ErrImagePull', kind="Warning")
                self._job.event(f'Back-off pulling image "{spec["Image"]}": ImagePullBackOff', kind="Warning")
                raise JobFailedError("JobFailed", "")

    async def _reserve(self, status: str, code: str, message: str) -> None:
        """Hold the pods of a job that has run, and their room in its quota, as its settings ask."""
        minutes = self._job.settings.get("JobReservedMinutes")
        if minutes and self._job.has_run and status in _RESERVED[self._job.settings.get("JobReservedPolicy")]:
            self._job.move(f"{status}Reserving", code, message)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), minutes * self._account.settings.minute)

    async def _within_limit(self, work: Awaitable[None]) -> None:
        """Stop the job when JobMaxRunningTimeMinutes, counted from Running, have passed.

        The console promises that it is stopped; which status, and which reason, the API shows then is not published.
        """
        limit = self._job.request.get("JobMaxRunningTimeMinutes")
        timer = None
        if limit:
            timer = asyncio.get_running_loop().call_later(
                limit * self._account.settings.minute,
                self.stop,
                _TIME_LIMIT,
                f"The job ran longer than JobMaxRunningTimeMinutes, {limit}.",
            )
        try:
            await work
        finally:
            if timer is not None:
                timer.cancel()

    async def _prepare(self) -> None:
        """Clone the code and give each pod its root.

        :raises JobFailedError: when git refuses or a bucket does not exist.
        """
        request = self._job.request
        appends = bool(self._job.settings.get("EnableOssAppend"))
        mounts = [
            Mount(source["Uri"], source["MountPath"], source.get("MountAccess") == "RO", appends)
            for source in request.get("DataSources") or []
        ]
        try:
            if self._checkout:
                await self._checkout.clone(self._folder / "code", log=self._folder / "logs" / "git.log")
            for pod in self._pods:
                root = self._roots[pod] = Root(self._folder / "pods" / pod.suffix)
                await mount_all(root, mounts, self._oss)
                if self._checkout:
                    await self._checkout.place(root, self._folder / "code")
                if request["JobType"] == "MPIJob":
                    root.map_path(MPI, self._folder / "mpi")
            if request["JobType"] == "MPIJob":
                self._write_mpi_files()
        except CloneError as error:
            raise JobFailedError("CodeSourceCloneFailed", str(error)) from error
        except OSError as error:
            raise JobFailedError("EnvPreparingFailed", str(error)) from error
        except ApiError as error:
            raise JobFailedError("InvalidParameter", f"{error.code}: {error.message}") from error

    def _write_mpi_files(self) -> None:
        folder = self._folder / "mpi"
        folder.mkdir(exist_ok=True)
        for name, text in mpi_files(self._job.id, self._pods, self._folder / "pods").items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o700)

    async def _run_pods(self) -> None:
        """Run all pods until the deciding ones have succeeded or one of any kind has failed."""
        tasks = {pod: asyncio.create_task(self._run_pod(pod)) for pod in self._pods}
        wanted = {tasks[pod] for pod in deciding(self._job.request, self._pods)}
        pending = set(tasks.values())
        try:
            while wanted & pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            # In the cloud, too, some time passes between the leader's end and the removal of the others.
            finishing = [task for pod, task in tasks.items() if pod.finishes and task in pending]
            if finishing:
                await asyncio.wait(finishing, timeout=self._account.settings.grace)
        finally:
            for task in pending:
                task.cancel()
            await see_out(asyncio.gather(*tasks.values(), return_exceptions=True))

    async def _run_pod(self, pod: Pod) -> None:
        """Run a pod until it succeeds, starting it again as its RestartPolicy says.

        One whose preemptible resources are gone is not: "after preemptible resources are released, DLC jobs fail".

        :raises JobFailedError: when it has failed for good.
        """
        pod_id = f"{self._job.id}-{pod.suffix}"
        while code := await self._run_once(pod, pod_id):
            evicted = pod_id in self._evicted
            is_gone = evicted and self._is_spot
            if is_gone or not is_retryable(pod, code) or self._job.document["Restarts"] >= MAX_RESTARTS:
                raise JobFailedError("JobFailed", self._why_failed(pod, code, evicted))
            await self._restart(pod_id, f"Pod {pod_id} ended with exit code {code}.")

    def _why_failed(self, pod: Pod, code: int, evicted: bool) -> str:
        """Return a ReasonMessage as it has been seen of failed jobs; of evicted pods it is only known to say so."""
        how = "was evicted" if evicted else "failed"
        overview = f"{self._job.request['JobType']} {self._job.id} failed because 1 {pod.role} replica(s) {how}."
        ended = str(int(self._account.now().timestamp()))
        content = [{"time": ended, "pods": {pod.role: [pod.index]}, "reason": str(code)}]
        return json.dumps({"overview": overview, "content": content}, separators=(",", ":"))

    async def _run_once(self, pod: Pod, pod_id: str) -> int:
        root, request = self._roots[pod], self._job.request
        process = await root.start(
            pod.command,
            environment=environment(request, self._pods, pod, self._ports),
            log=log_file(self._folder, self._document(pod_id)["PodUid"]),
            grace=self._job.settings.get("TerminationGracePeriodSeconds") or self._account.settings.grace,
            shell=self._account.world.dlc_shell,
        )
        self._processes[pod_id] = process
        self._document(pod_id).update(Status="Running", GmtStartTime=self._account.timestamp())
        self._job.event(f"Pod {pod_id} started.", pod_id)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            with suppress(asyncio.CancelledError):
                await stop_all([process])
            self._ended(pod_id, await process.wait())
            raise
        if pod_id in self._evicted:
            code = code or _KILLED  # what ends well at the last moment is lost all the same
        self._ended(pod_id, code)
        return code

    def _ended(self, pod_id: str, code: int) -> None:
        self._document(pod_id).update(
            Status="Failed" if code else "Succeeded",
            SubStatus="Evicted" if pod_id in self._evicted else "Normal",
            GmtFinishTime=self._account.timestamp(),
        )
        self._job.event(f"Pod {pod_id} exited with code {code}.", pod_id, "Warning" if code else "Normal")

    async def _restart(self, pod_id: str, reason: str) -> None:
        """Make the pod a new one of the same name, with a new uid."""
        if self._stop_reason:
            return  # The stop is about to reach this pod.
        document, job = self._document(pod_id), self._job.document
        old = {name: value for name, value in document.items() if name != "HistoryPods"}
        document["HistoryPods"].append(old)
        document.update(PodUid=new_uid(), Status="Pending", SubStatus="Normal", GmtStartTime=None, GmtFinishTime=None)
        self._evicted.discard(pod_id)
        job["Restarts"] += 1
        job["RestartRecord"].append(
            {
                "JobRestartCount": job["Restarts"],
                "OccurTime": self._account.timestamp(),
                "Reason": reason,
                "RestartLevelType": "Pod",
            }
        )
        self._job.move("Restarting", "PodRestarting", reason)
        await self._account.dwell()
        self._job.move("Running")

    def _document(self, pod_id: str) -> Json:
        pod = self._job.pod(pod_id)
        assert pod is not None
        return pod


def log_file(folder: Path, pod_uid: object) -> Path:
    """Return the log of one life of a pod."""
    return folder / "logs" / f"{pod_uid}.log"


def clean_up(folder: Path) -> None:
    """Remove what a job needs only while it runs; its logs stay."""
    for root in (folder / "pods").glob("*"):
        Root(root).remove()
    for name in ("code", "mpi"):
        shutil.rmtree(folder / name, ignore_errors=True)
