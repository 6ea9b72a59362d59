"""`python -m demo`: play the five stories; `python -m demo --ui`: play them and leave Airflow running."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

from airflow_provider_pai.testing.airflow_api import AirflowApiError
from airflow_provider_pai.testing.processes import ComponentError, end_on_signals
from airflow_provider_pai.testing.stack import USER, Stack
from demo import BUILD, ROOT
from demo.form import NIGHTLY, write_form
from demo.material import BUCKET, EXAMPLES, RAW, lay_out, load_samples, settings, upload_for_examples
from demo.nights import nights
from demo.progress import Progress
from demo.report import Report, versions
from demo.story import BAD_NIGHT, GROUP, Story
from demo.traffic import Traffic
from demo.watch import StoryError, Watcher

_UI_PORT = 8080
# Seconds without any change after which a story is given up.
_PATIENCE = 150.0


class Demo:
    """One run of `make demo` or `make ui`."""

    nightly = NIGHTLY
    """Params of every night."""
    bad = BAD_NIGHT
    """Params of the night whose model is bad, on top."""

    def __init__(self, *, ui: bool) -> None:
        self._ui = ui
        self._progress = Progress()
        self._report = Report()
        self._stack = Stack(self._progress.say, port=_UI_PORT if ui else 0, folder=BUILD, dags=ROOT / "example_dags")

    def run(self) -> int:
        """Play; return the exit code."""
        code = 0
        with self._stack:
            try:
                self._play()
            except (StoryError, ComponentError, AirflowApiError) as error:
                # Whoever uses the UI meanwhile may change what the story counts on.
                what = "NOT AS TOLD" if self._ui and isinstance(error, StoryError) else "FAILED"
                self._progress.say(f"{what}: {error}")
                code = 1
            self._close(code)
            if self._ui:
                self.after()
        return code

    def _play(self) -> None:
        stack, progress = self._stack, self._progress
        stack.start_emulator()
        backfilled, played = nights(datetime.now(UTC))
        training, held_out = load_samples()
        code: dict[str, str] = {}

        def prepare() -> None:
            os.environ |= stack.connection_environment()
            from airflow_provider_pai.hooks.oss import OssHook

            oss = OssHook()
            code.update(lay_out(oss, training, held_out, backfilled + played, BUILD))
            upload_for_examples(oss, BUCKET, training, held_out, EXAMPLES)
            stack.variables = settings(code)
            write_form(stack.home, code)
            progress.say(f"{len(training)} digits in {RAW}, {len(held_out)} held out; code at {code['commit'][:10]}")

        api = stack.start_airflow(prepare)
        if self._ui:
            self._say_address()
        from airflow_provider_pai.hooks.eas import EasHook
        from airflow_provider_pai.hooks.oss import OssHook

        eas = EasHook()
        # With the UI nobody waits for an end: what still runs goes on, however slow the machine is.
        watcher = Watcher(api, progress.say, stack.check, eas, GROUP, patience=math.inf if self._ui else _PATIENCE)
        hooks = {"oss": OssHook(), "eas": eas}
        story = Story(api, watcher, progress, self._report, **hooks, conf=self.nightly | code, bad=self.bad)
        story.play(backfilled, played, held_out)
        write_form(stack.home, code, model=story.promoted["uri"])

    def _close(self, code: int) -> None:
        """Say what came of it and write the report."""
        report, progress = self._report, self._progress
        report.seconds = {"setup": _setup_seconds(), "demo": round(progress.seconds, 1)}
        if report.nights:
            from airflow_provider_pai.ledger import Ledger

            ledger = Ledger.open()
            progress.head("all versions, from the audit ledger")
            print(versions(list(ledger.rows()), _hours(ledger)))
            for problem in ledger.verify():
                progress.say(f"ledger: {problem}")
        served, traffic = report.served, report.traffic
        if code == 0:
            progress.say(
                f"{served['version']} answers {served['samples']} held-out samples, {served['accuracy']:.2%} right"
            )
        progress.say(
            f"traffic: {traffic['requests']} requests, {traffic['failed']} failed, "
            f"{traffic['failed_outside_canary']} of them outside a canary"
        )
        report.write(BUILD / "report.json")
        progress.say(f"report: {(BUILD / 'report.json').relative_to(ROOT)}")

    def _say_address(self) -> None:
        console = self._stack.pai["console_url"].format(service="pai")
        lines = {"PAI": f"{console}/", "Airflow": self._stack.url, "user": USER, "password": self._stack.password}
        print("\n" + "".join(f"  {name:<9} {value}\n" for name, value in lines.items()), flush=True)

    def after(self) -> None:
        """Leave everything running until Ctrl-C; live traffic too, for rollouts that a person starts."""
        from airflow_provider_pai.hooks.eas import EasHook

        if self._report.nights:
            endpoint = EasHook().group_endpoint(GROUP)
            Traffic(endpoint.url, endpoint.token, load_samples()[1]).start()
        self._progress.say("everything stays up until Ctrl-C, live traffic too")
        self._say_address()
        while True:
            self._stack.check()
            time.sleep(1)


def _hours(ledger: Any) -> dict[str, float]:
    """Return what each version has cost in instance hours, as `airflow pai cost` sums it up."""
    from airflow_provider_pai.cli.cost import assigned, cost_lines, entries
    from airflow_provider_pai.costs import Prices

    lines = cost_lines(assigned(entries(ledger, None)), "version", Prices())
    return {line.name: line.spent.all_hours for line in lines}


def _setup_seconds() -> float:
    """Return how long the set-up of .venv took when it was made."""
    try:
        return float((ROOT / ".venv" / "ready").read_text())
    except (OSError, ValueError):
        return 0.0


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--ui", action="store_true", help="leave Airflow and the emulator running")
    arguments = parser.parse_args()
    return play(Demo(ui=arguments.ui), interrupted=0 if arguments.ui else 130)


def play(demo: Demo, *, interrupted: int = 130) -> int:
    """Run a demo; Ctrl-C and SIGTERM end it and everything it started.

    :param interrupted: the exit code then.
    """
    end_on_signals()
    try:
        return demo.run()
    except KeyboardInterrupt:
        return interrupted
    except ComponentError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
