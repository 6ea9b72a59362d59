"""Where a command that runs on a DSW instance leaves what it has done."""

from __future__ import annotations

# Where a run's result lies; an environment variable of the instance, so that whoever looks at the instance finds it.
RUN_URI = "PAI_RUN_URI"
RESULT_NAME = "_result.json"
LOG_NAME = "run.log"
