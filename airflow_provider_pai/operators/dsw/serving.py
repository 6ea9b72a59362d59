"""Instances that serve commands: what runs on them, and what it has to know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from string import Template

from airflow_provider_pai import image_tools
from airflow_provider_pai.image_tools.serve_commands import MOUNTS
from airflow_provider_pai.remote import QUEUE_URI, RUN_DIR
from airflow_provider_pai.uri import OssUri

PROGRAM = "serve_commands.py"
_QUEUE = "queue"

_JINDO = "-oattr_timeout=3 -oentry_timeout=0 -onegative_timeout=0 -oauto_cache -ono_symlink"
MOUNT_OPTIONS = json.dumps({"fs.jindo.args": _JINDO})
"""Of the mount with the queue, so that what is put there is seen soon: the example of the SDK's
CreateInstanceRequestDatasets.options."""

# The runner is started again should it end: what it had begun then is told to have been interrupted. Its own log lies
# on the instance.
_SERVE = Template("""(
$before
)
while :; do
  python3 "$$$folder/$program" "$$$folder/$queue" $every
  sleep 5
done >> ~/.pai-serve.log 2>&1
""")


def serving_script(before: str, every: float) -> str:
    """Return the on-start script, for bash.

    :param before: what the instance does first, at each start.
    :param every: seconds between two looks at the queue.
    """
    return _SERVE.substitute(before=before or ":", folder=RUN_DIR, program=PROGRAM, queue=_QUEUE, every=f"{every:g}")


def serving_variables(run: OssUri, mounts: Mapping[OssUri, str]) -> dict[str, str]:
    """Return the environment variables by which the instance, and who gives it commands, know what it has.

    :param run: the run's folder, which holds the queue.
    :param mounts: what is mounted where, the run's folder too.
    """
    places = {str(uri.folder): path for uri, path in mounts.items()}
    return {QUEUE_URI: str(run.join(_QUEUE).folder), MOUNTS: json.dumps(places)}


def program() -> str:
    """Return the text of the program that takes commands from the queue."""
    return files(image_tools).joinpath(PROGRAM).read_text(encoding="utf-8")
