"""A model trained again: its job made anew of its manifest alone, and what comes of it compared with what it was."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from airflow_provider_pai.artifact import (
    INPUTS_FOLDER,
    Code,
    DatasetChange,
    DatasetRef,
    Manifest,
    ManifestFile,
    content_digest,
)
from airflow_provider_pai.cli.person import say
from airflow_provider_pai.exceptions import PaiConfigError, PaiError
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.datasets import current_objects, difference, kept_list
from airflow_provider_pai.hooks.oss.home import pins_folder
from airflow_provider_pai.hooks.oss.pins import Pin
from airflow_provider_pai.hooks.registry import image_digest, without_tag
from airflow_provider_pai.labels import is_ours
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.manifests import files_of, metrics_of
from airflow_provider_pai.operators.workload.base import ARTIFACT_VARIABLE, CODE_PATH, OUTPUT_PATH, input_path
from airflow_provider_pai.operators.workload.code import find_code
from airflow_provider_pai.operators.workload.git import GitError, archive, full_commit
from airflow_provider_pai.remote import DEFAULT_POLL_INTERVAL, Json, RemoteJob
from airflow_provider_pai.sensitive import HIDDEN
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.uri import OssUri

POLL_INTERVAL = DEFAULT_POLL_INTERVAL


class Outcome(NamedTuple):
    """What came of a model that was trained again.

    :param unlike: what it was made of and is another now, in words.
    :param files: keys of those that differ, are missing or are new.
    :param metrics: name to what it was and what it is.
    """

    version: str
    job_id: str
    uri: str
    content_digest: str
    unlike: Sequence[str]
    files: Sequence[str]
    metrics: Mapping[str, tuple[float | None, float | None]]

    @property
    def verdict(self) -> str:
        """Return it in a word or two; a model without metrics has none that are equal."""
        if not self.files:
            return "IDENTICAL"
        return "EQUAL METRICS" if self.metrics and not self._other_metrics else "DIFFERENT"

    @property
    def text(self) -> str:
        """Return it for people: the decision, then each difference in a line."""
        head = f"{self.verdict}: {self.version}, trained again by {self.job_id}: {self.uri} ({self.content_digest})"
        metrics = [f"metric {name}: {now}, was {then}" for name, (then, now) in self._other_metrics.items()]
        return "\n".join([head, *self.unlike, *metrics, *(f"file {key}: other bytes" for key in self.files)])

    @property
    def facts(self) -> Json:
        """Return it for machines and the ledger."""
        return {"verdict": self.verdict, **self._asdict()}

    @property
    def _other_metrics(self) -> dict[str, tuple[float | None, float | None]]:
        return {name: (then, now) for name, (then, now) in self.metrics.items() if then != now}


@dataclass
class Reproduction:
    """A model that is to be trained again.

    :param source: prefix of the model.
    :param home: prefix that the job writes below, and nowhere else.
    """

    hook: DlcHook
    manifest: Manifest
    source: OssUri
    home: OssUri
    unlike: list[str] = field(default_factory=list)
    """What the model was made of and is not to be had any more, in words."""
    notes: list[str] = field(default_factory=list)
    """What else a person may want to know."""

    @cached_property
    def oss(self) -> OssHook:
        """Return the hook of what the job reads and writes."""
        return self.hook.sibling(OssHook)

    @property
    def output(self) -> OssUri:
        """Return where the model is written."""
        return self.home.join("model").folder

    def body(self) -> Json:
        """Return the CreateJob body; `unlike` and `notes` say what could not be had as it was.

        :raises PaiConfigError: the manifest tells of no job.
        """
        artifact, request = self.manifest.artifact, self.manifest.request
        if not request:
            raise PaiConfigError("VERSION", artifact.version, "a model of a DLC job, whose manifest keeps its request")
        for name, change in artifact.changed_inputs.items():
            self.notes.append(f"input {name} was changed while the model was trained, {change}: who knows what it read")
        mounts = self._mounts(request.get("DataSources") or [])
        body = {
            **request,
            "DisplayName": f"again.{artifact.version}",
            "Envs": self._environment(request.get("Envs") or {}),
            "Settings": _without_our_tags(request.get("Settings") or {}),
            "JobSpecs": self._specs(request["JobSpecs"]),
            "CodeSource": self._code_source(request.get("CodeSource"), mounts),
            "DataSources": list(mounts.values()),
        }
        return {name: value for name, value in body.items() if value}

    def end_of(self, job_id: str) -> RemoteJob:
        """Wait for the job; whatever ends the wait ends the job.

        :raises PaiJobFailedError: it has failed.
        """
        try:
            job = self.hook.wait(job_id, poll_interval=POLL_INTERVAL)
        except BaseException:
            try:
                self.hook.request_stop(job_id)
            except PaiError as refusal:
                say(f"DLC job {job_id} GOES ON and costs; stop it in the console: {refusal}")
            raise
        if self.hook.states.judge(job.status) is not Verdict.SUCCEEDED:
            raise self.hook.failure(job)
        return job

    def outcome(self, job: RemoteJob) -> Outcome:
        """Compare what the job has left with what the manifest has."""
        now = files_of(self.oss, self.output)
        artifact, metrics = self.manifest.artifact, metrics_of(self.oss, self.output, now)
        names = [*artifact.metrics, *(name for name in metrics if name not in artifact.metrics)]
        return Outcome(
            version=artifact.version,
            job_id=job.job_id,
            uri=str(self.output),
            content_digest=content_digest(now),
            unlike=self.unlike,
            files=self._other_files(now),
            metrics={name: (artifact.metrics.get(name), metrics.get(name)) for name in names},
        )

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        self.unlike += [
            f"env {name} is a secret, which no manifest keeps" for name in variables if HIDDEN in variables[name]
        ]
        return {name: value for name, value in variables.items() if name != ARTIFACT_VARIABLE}

    def _mounts(self, sources: Iterable[Json]) -> dict[str, Json]:
        """Return the data sources by mount path: inputs as they were; what was written to, in folders of its own."""
        inputs = {input_path(ref.name): ref for ref in self.manifest.artifact.inputs}
        mounts = {source["MountPath"]: dict(source) for source in sources}
        for path, mount in mounts.items():
            if path == OUTPUT_PATH:
                mount["Uri"] = self.oss.mount_uri(self.output)
            elif path in inputs:
                mount["Uri"] = self.oss.mount_uri(self._input(inputs[path]))
            elif mount.get("MountAccess") != "RO":
                mount["Uri"] = self.oss.mount_uri(self.home.join(path.rpartition("/")[2]).folder)
        return mounts

    def _input(self, ref: DatasetRef) -> OssUri:
        """Return where an input lies as it was, copied there if need be; where there is no way, where it lay."""
        for at in filter(None, (ref.pinned, ref.uri)):
            change = self._change(ref, OssUri.parse(at), copies=at == ref.pinned)
            if change == DatasetChange():
                return OssUri.parse(at)
        pins = pins_folder(self.hook.connection, above(self.source))
        pin = Pin.of(pins, ref.digest) if pins else None
        if pin and (ref.versioned or not (change.is_harmful or change.unread) or self.oss.head(pin.marker)):
            try:
                pin.fill(
                    self.oss, ref, self._list(ref), version=self.manifest.artifact.version, artifact=str(self.source)
                )
                return pin.data
            except PaiError as error:
                self.notes.append(f"input {ref.name}: {error}")
        self.unlike.append(f"input {ref.name}, {ref.uri}: {change}")
        return OssUri.parse(ref.uri)

    def _change(self, ref: DatasetRef, at: OssUri, *, copies: bool) -> DatasetChange:
        try:
            kept = kept_list(self.oss, self._list(ref), ref.digest)
            return difference(kept, current_objects(self.oss, at), copies=copies)
        except PaiError as error:
            return DatasetChange(unread=str(error))

    def _list(self, ref: DatasetRef) -> OssUri:
        return self.source.join(INPUTS_FOLDER, f"{ref.name}.jsonl")

    def _specs(self, specs: Sequence[Json]) -> list[Json]:
        """Return the nodes, with the image as it was: by its digest where its tag stands for another one now."""
        artifact = self.manifest.artifact
        image = artifact.image or ""
        if any("ImageConfig" in spec for spec in specs):
            self.unlike.append(f"image {image}: the login of its registry is a secret, which no manifest keeps")
            specs = [{name: value for name, value in spec.items() if name != "ImageConfig"} for spec in specs]
        found = image_digest(image, self.hook.connection)
        if artifact.image_digest is None or found.digest is None:
            why = artifact.image_note or found.note
            self.notes.append(f"image {image}: nobody knows whether it is what it was: {why}")
        elif found.digest != artifact.image_digest:
            name = f"{without_tag(image)}@{artifact.image_digest}"
            self.notes.append(f"image {image} is another one now, {found.digest}: {name} is run")
            return [{**spec, "Image": name} if spec.get("Image") == image else spec for spec in specs]
        return list(specs)

    def _code_source(self, source: Json | None, mounts: dict[str, Json]) -> Json | None:
        """Return the code source; code that no branch leads to any more is copied to OSS, and mounted."""
        code = self.manifest.artifact.code
        if code is None or source is None:
            if code is not None and CODE_PATH in mounts:
                self._check_uploaded(code)
            return source
        try:
            if full_commit(code.repo, code.commit):
                again = self.hook.sibling(AIWorkspaceHook).code_source(code.repo, None, CODE_PATH)
                return {**source, "CodeSourceId": again}
            copy = self._copied(code)
        except GitError as error:
            self.notes.append(f"code: {code.repo} can't be looked at here, the job will tell: {error}")
            return source
        if copy is None:
            self.unlike.append(f"code: {code.repo} has no commit {code.commit} any more")
            return source
        self.notes.append(f"code: no branch of {code.repo} leads to {code.commit} any more; the job runs a copy of it")
        mounts[CODE_PATH] = {"Uri": self.oss.mount_uri(copy), "MountPath": CODE_PATH, "MountAccess": "RO"}
        return None

    def _check_uploaded(self, code: Code) -> None:
        try:
            find_code({"uri": code.repo, "digest": code.commit}, self.oss)
        except PaiError as error:
            self.unlike.append(f"code: {error}")

    def _copied(self, code: Code) -> OssUri | None:
        """Copy a commit that the repository still has to OSS; None: it has not."""
        with tempfile.TemporaryDirectory(prefix="pai-code-") as folder:
            packed, files = Path(folder) / "code.tar.gz", Path(folder) / "files"
            try:
                archive(code.repo, code.commit, None, packed)
            except GitError:
                return None
            with tarfile.open(packed) as opened:
                opened.extractall(files, filter="data")
            copy = self.home.join("code").folder
            self.oss.upload_folder(files, copy)
        return copy

    def _other_files(self, now: Sequence[ManifestFile]) -> list[str]:
        before, after = ({file.key: file for file in files} for files in (self.manifest.files, now))
        return sorted(
            key
            for key in before.keys() | after.keys()
            if key not in before or key not in after or not self._are_alike(before[key], after[key])
        )

    def _are_alike(self, before: ManifestFile, after: ManifestFile) -> bool:
        """Tell whether two files have the same bytes; where ETags differ, since one came in parts, by their CRC64."""
        if before.size != after.size or before.etag == after.etag:
            return before.size == after.size
        heads = [self.oss.head(folder.join(before.key)) for folder in (self.source, self.output)]
        first, second = (head.crc64 if head else None for head in heads)
        return bool(second) and second == (before.crc64 or first)


def above(folder: OssUri) -> OssUri:
    """Return the folder that a folder lies in."""
    return folder._replace(key=folder.key.rstrip("/")).parent


def _without_our_tags(settings: Json) -> Json:
    """Return the Settings without the tags by which a task finds its own jobs: this one is no task's."""
    tags = {name: value for name, value in (settings.get("Tags") or {}).items() if not is_ours(name)}
    return {**settings, "Tags": tags}
