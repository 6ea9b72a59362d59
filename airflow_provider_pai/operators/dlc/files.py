"""Files of a DLC job on OSS: what is too long to travel with the job, in a folder for each generation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiTransientError
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook

MAX_VARIABLE_BYTES = 16 * 1024
"""Of parameters in an environment variable: what else CreateJob takes needs room, too, and Linux takes no 128 KiB."""
PARAMETERS = "params.json"


def is_long(parameters: Any) -> bool:
    """Tell whether parameters are too long for an environment variable."""
    return len(json.dumps(parameters).encode()) > MAX_VARIABLE_BYTES


def folder_of(oss: OssHook, output: OssUri | None, version: str) -> OssUri:
    """Return the folder: in the home of the state, without one beside the version folders below `output`.

    :raises PaiConfigError: there is neither.
    """
    from airflow_provider_pai.hooks.oss.home import configured_home, job_folder

    home = configured_home(oss.connection)
    if home is not None:
        return job_folder(home, version)
    if output is None:
        allowed = f"without output and without state_uri at most {MAX_VARIABLE_BYTES} bytes of JSON"
        raise PaiConfigError("parameters", "what is longer", allowed)
    return output.join("_jobs", version).folder


def write_file(oss: OssHook, at: OssUri, content: Any) -> None:
    """Write a file, before the submit; a try that is killed between the two leaves it for the next to write again.

    :raises PaiApiError: it can't be written there.
    """
    try:
        oss.put(at, json.dumps(content))
    except PaiTransientError:
        raise
    except PaiApiError as error:
        field = "state_uri" if oss.connection.state_uri else "output"
        raise error.saying(f"{field}: {at} can't be written: {error.message}") from None
