"""Remote jobs as hooks, operators and triggers exchange them; cheap to import, since every DAG file does."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_provider_pai.identity import TaggedJob

Json = dict[str, Any]

DEFAULT_CONN_ID = "pai_default"
DEFAULT_POLL_INTERVAL = 10.0
"""Seconds between two looks at something remote."""

DEFAULT_LOG_INTERVAL = 30.0
"""Seconds between two looks at a job's own log."""

# Where a DSW run's script, log and result lie, its output, the commit it runs, and after how many seconds its timer
# stops it: environment variables of the instance, so that whoever looks at it finds them.
RUN_URI = "PAI_RUN_URI"
RUN_DIR = "PAI_RUN_DIR"
CODE_DIR = "PAI_CODE_DIR"
OUTPUT_URI = "PAI_OUTPUT_URI"
CODE_COMMIT = "PAI_CODE_COMMIT"
TIME_LIMIT = "PAI_MAX_RUNNING_SECONDS"
QUEUE_URI = "PAI_QUEUE_URI"
MOUNTS = "PAI_MOUNTS"
"""Of an instance that serves commands: where it takes them from, and JSON of what is mounted where."""
SCRIPT_NAME = "_start.sh"
CODE_NAME = "_code.tar.gz"
RESULT_NAME = "_result.json"
LOG_NAME = "run.log"
EXECUTED_NAME = "executed.ipynb"
HTML_NAME = "executed.html"
RECORD_NAMES = (EXECUTED_NAME, HTML_NAME, "environment.txt", "run.json")
"""What a notebook's run leaves in its folder for people."""

RUN_FOLDER_KEY = "pai_run_folder"
"""XCom that tells where a run's folder is, and through which connection: links to its files are signed by it."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class RemoteJob(NamedTuple):
    """A job as a service describes it, in JSON primitives, so that it can cross the trigger's boundary.

    :param tags: the tags of `identity`.
    :param facts: what the service adds and `finish` needs; small.
    :param usage: what is billed of it, as far as its service tells: fields of `costs.Usage`.
    """

    job_id: str
    status: str
    reason_code: str | None = None
    reason: str | None = None
    created: str = ""
    tags: Mapping[str, str] = _NOTHING
    facts: Mapping[str, Any] = _NOTHING
    usage: Mapping[str, Any] = _NOTHING

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "RemoteJob":
        """Read what `to_dict` wrote, in this version or in a later one."""
        return cls(**{name: value[name] for name in cls._fields if name in value})

    def to_dict(self) -> Json:
        """Return plain JSON."""
        return {**self._asdict(), "tags": dict(self.tags), "facts": dict(self.facts), "usage": dict(self.usage)}

    @property
    def tagged(self) -> TaggedJob | None:
        """Return what the tags say, or None for a job that no task of ours made."""
        return TaggedJob.read(self.job_id, self.status, self.tags, self.created)
