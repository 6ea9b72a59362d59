"""Order for bad nights: the DAG file, what it needs to run at all, and which nights it shall live through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

NIGHTS: Mapping[str, str] = {
    "calm": "nothing happens: what one run makes, and pays for",
    "lost": "calls stumble; a worker dies when the service has made what it asked for, and nobody has read so",
    "dying": "calls stumble; workers and the triggerer die while jobs run, and a job's pods are evicted",
    "bad model": "a model that fails half of its requests as soon as it gets live traffic",
    "backfill": "somebody backfills an earlier night",
    "ended": "a person marks each task failed while its job runs, and clears it again",
}
"""By name, in the order in which they are played."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What bad nights are given.

    :param dag_id: the DAG, where the file has several.
    :param data: folder to `oss://` prefix: what lies on OSS before the first night.
    :param conf: params of the runs; the last stands for all nights after it.
    :param env: environment of Airflow, `AIRFLOW_VAR_…` and what the file itself reads.
    :param asks: what people ask of service groups: `{"method", "path", "json"}`; by default the first of the golden
        requests in the DAG.
    :param event: extra of the asset event that starts a run, where assets do.
    :param nights: names of `NIGHTS`; those that make no sense for the DAG are left out.
    :param patience: seconds without any change after which a run hangs.
    :param before: called before each night, with its name: `AIRFLOW_CONN_PAI_DEFAULT` leads to the emulator.
    """

    dag_file: Path
    dag_id: str = ""
    data: Mapping[Path, str] = field(default_factory=dict)
    conf: Sequence[Json] = ({},)
    env: Mapping[str, str] = field(default_factory=dict)
    asks: Json | None = None
    event: Json = field(default_factory=dict)
    nights: Sequence[str] = tuple(NIGHTS)
    patience: float = 240.0
    before: Callable[[str], None] = lambda night: None

    def conf_of(self, number: int) -> Json:
        """Return the params of a night."""
        return self.conf[min(number, len(self.conf) - 1)]
