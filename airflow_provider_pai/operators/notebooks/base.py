"""Base of the operators that run a notebook: what could not be had again, results in Git, links to what they leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import one_of
from airflow_provider_pai.labels import ServedModel
from airflow_provider_pai.operators.jobs import JobHookT
from airflow_provider_pai.operators.notebooks.reproducible import (
    REPRODUCIBLE,
    WARN,
    cell_findings,
    code_findings,
    heed,
    image_findings,
    input_findings,
)
from airflow_provider_pai.operators.notebooks.results import (
    CommitResults,
    check_results,
    commit_results,
    need_results,
)
from airflow_provider_pai.operators.workload.base import WorkloadOperator
from airflow_provider_pai.remote import RECORD_NAMES, RUN_FOLDER_KEY
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import DatasetRef


class NotebookOperator(WorkloadOperator[JobHookT]):
    """Base of the operators that run a notebook.

    :param reproducible: what becomes of a run that could not be had again (code that is in no commit, an image without
        a version, inputs that are not pinned, cells that ran in another order): `warn`, `require` to refuse it, or
        `off`. (templated)
    :param commit_results: `{"repo", "branch", "path", "git_conn_id"}`: the executed notebook, its HTML and its record
        are pushed there as one commit, by the worker, when the run has ended well. (templated)
    """

    template_fields: Sequence[str] = ("reproducible", "commit_results")
    template_fields_renderers = {"commit_results": "json"}

    def __init__(
        self,
        *,
        reproducible: str = WARN,
        commit_results: CommitResults | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reproducible = reproducible
        self.commit_results = commit_results

    def check(self) -> None:
        """Read the fields; refuse bad input."""
        super().check()
        self.reproducible = one_of("reproducible", self.reproducible, REPRODUCIBLE)
        check_results(self.commit_results)

    @property
    def text(self) -> Mapping[str, Any] | None:
        """Return the notebook as it is before the run; None: it can't be read here."""
        return None

    def look_first(self, context: Any, identity: TaskIdentity) -> None:
        """Refuse what could not be had again, or pushed."""
        super().look_first(context, identity)
        heed(self.reproducible, self.findings(), self.log)
        if target := check_results(self.commit_results):
            need_results(target)

    def findings(self) -> Iterator[str]:
        """Yield what of the run could not be had again; of its inputs `datasets` tells it."""
        yield from image_findings(self.image)
        yield from code_findings(self.source, self.code or {})
        yield from cell_findings(self.text or {})

    def datasets(self, folder: OssUri | None = None) -> tuple[DatasetRef, ...]:
        """Return what each input holds at this moment; refuse what could not be had again."""
        found = super().datasets(folder)
        heed(self.reproducible, input_findings(found), self.log)
        return found

    def keep_run(self, context: Any, run_uri: str) -> None:
        """Keep where the run's folder is, before waiting: its links are signed when a page shows them."""
        context["ti"].xcom_push(key=RUN_FOLDER_KEY, value={"uri": run_uri, "hook": self.hook_arguments})

    def push_results(self, identity: TaskIdentity, generation: int, run: OssUri) -> None:
        """Push what the run has left to Git, where that is asked for.

        :raises PaiTransientError: it could not be pushed; another try finds the run, and pushes again.
        """
        if not (target := check_results(self.commit_results)):
            return
        version = identity.version(generation)
        files = {name: run.join(name) for name in RECORD_NAMES}
        commit = commit_results(target, identity, version, self.oss, files)
        facts = {**target, "commit": commit, "run_uri": str(run)}
        model = ServedModel(version=version)
        self.record("results_committed", identity.task_id, identity, model, facts, key=f"results/{version}", beside=run)
        self.log.info("Results are commit %s of %s, branch %s", commit, target["repo"], target["branch"])
