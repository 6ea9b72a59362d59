"""Links from a task to Alibaba Cloud's console: three attributes each, persisted once by the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey


class PaiLink(BaseOperatorLink):
    """A page of the console; the whole URL lies in an XCom of the task."""

    name: ClassVar[str]
    key: ClassVar[str]

    @property
    def xcom_key(self) -> str:
        """Return the XCom that holds the URL."""
        return self.key

    @classmethod
    def persist(cls, context: Any, url: str) -> None:
        """Keep the URL of this task's page; called before waiting, so that deferred tasks have it too."""
        context["ti"].xcom_push(key=cls.key, value=url)

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL, empty before the job exists; asked on Airflow 2.11 (3.x reads the XCom itself)."""
        return XCom.get_value(ti_key=ti_key, key=self.key) or ""


class DlcJobLink(PaiLink):
    """The job's page."""

    name = "PAI DLC job"
    key = "pai_dlc_job_url"


class TensorBoardLink(PaiLink):
    """The TensorBoard itself."""

    name = "TensorBoard"
    key = "pai_tensorboard_url"


class DswInstanceLink(PaiLink):
    """The instance's page."""

    name = "PAI DSW instance"
    key = "pai_dsw_instance_url"


class DswJupyterLabLink(PaiLink):
    """JupyterLab on the instance, as long as it runs; Alibaba Cloud asks for a login."""

    name = "JupyterLab"
    key = "pai_dsw_jupyterlab_url"


class EasServiceLink(PaiLink):
    """The service's page."""

    name = "PAI EAS service"
    key = "pai_eas_service_url"


class EasRolloutLink(PaiLink):
    """The folder on OSS where a group's rollouts keep every look's verdict."""

    name = "Rollout record"
    key = "pai_eas_rollout_url"
