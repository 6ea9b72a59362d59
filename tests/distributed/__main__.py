"""`python -m tests.distributed`: a deployment like a real one under load, three of its parts killed, and an audit.

PostgreSQL, Redis, CeleryExecutor; two workers, schedulers and triggerers, each with an AIRFLOW_HOME of its own; one of
each is killed and replaced. Prints a line for each thing that happens, and its figures as one line of JSON at the end.
Needs the programs of PostgreSQL and Redis; whatever it starts ends with it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from airflow_provider_pai.testing.airflow_api import AirflowApiError
from airflow_provider_pai.testing.processes import ComponentError, end_on_signals
from demo import ROOT
from demo.progress import Progress
from tests.distributed.audit import Audit
from tests.distributed.campaign import Campaign, TooLongError
from tests.distributed.deployment import FOLDER, make
from tests.servers import MissingError


def main() -> int:
    """Play, audit, print; return 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.distributed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200, help="mapped DLC jobs (default: %(default)s)")
    parser.add_argument("--nights", type=int, default=30, help="nights of the backfill (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=90, help="when to give up (default: %(default)s)")
    options = parser.parse_args()
    end_on_signals()
    progress, faults, figures = Progress(), [], {}
    with make(progress.say, dags()) as stack:
        campaign = Campaign(stack, progress, options.jobs, options.nights, options.minutes)
        try:
            campaign.play()
            progress.head("audit")
            audit = Audit(campaign)
            audit.look()
            faults, figures = audit.faults, audit.figures
        except MissingError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            return 130
        except (ComponentError, AirflowApiError, TooLongError) as error:
            faults = [str(error)]
    for fault in faults:
        progress.say(f"WRONG: {fault}")
    kills = [kill._asdict() for kill in campaign.kills]
    asked = {"jobs_asked": options.jobs, "nights_asked": options.nights, "cores": os.cpu_count()}
    print(json.dumps({**asked, "seconds": campaign.seconds, "kills": kills, **figures, "wrong": faults}))
    return 1 if faults else 0


def dags() -> Path:
    """Return a folder of the two DAG files."""
    folder = FOLDER / "dags"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in (ROOT / "example_dags" / "pai_nightly_retraining.py", Path(__file__).parent / "dags" / "sweep.py"):
        (folder / path.name).symlink_to(path)
    return folder


if __name__ == "__main__":
    sys.exit(main())
