"""Rules by which an evening is judged: what is wrong, which task, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.workload.limits import FALLBACK
from airflow_provider_pai.sensitive import secrets_in
from airflow_provider_pai.testing.chaos.account import Made
from airflow_provider_pai.testing.chaos.nights import Lived

Json = dict[str, Any]

FEWEST_REQUESTS = 20
"""Requests to a candidate below which its error rate says nothing."""

_SHORTEST_SECRET = 6


class Defect(NamedTuple):
    """What is wrong: one line, the decision first.

    :param task: empty: it is no single task's.
    """

    rule: str
    task: str
    what: str
    todo: str

    def __str__(self) -> str:
        """Return the line."""
        return f"{self.what}{f' (task {self.task})' if self.task else ''}: {self.todo} [{self.rule}]"


@dataclass(kw_only=True)
class Evening:
    """All that was seen.

    :param source: text of the DAG file.
    :param tasks: of the DAG, by id, as Airflow's API describes them.
    :param rendered: fields of tasks, as they were rendered.
    :param author: the task that made something.
    :param failed: requests of people that found no answer.
    :param torn: manifests that their files do not fit, with why.
    :param seen: secrets, by what they are, and where each was seen, with the task.
    :param refused: other machines that somebody wanted to speak to.
    """

    source: str
    tasks: Mapping[str, Json]
    rendered: list[tuple[str, Mapping[str, Any]]]
    author: Callable[[Made], str]
    nights: list[Lived]
    failed: list[str]
    torn: list[str]
    seen: list[tuple[str, str, str]]
    refused: list[str]

    @property
    def calm(self) -> Lived | None:
        """Return the first night."""
        return self.nights[0] if self.nights and self.nights[0].name == "calm" else None

    @property
    def made(self) -> dict[str, list[Made]]:
        """Return what each task has made."""
        found: dict[str, list[Made]] = {}
        for night in self.nights:
            for each in night.made:
                found.setdefault(self.author(each), []).append(each)
        return found


Rule = Callable[[Evening], Iterator[Defect]]


def runs_through(evening: Evening) -> Iterator[Defect]:
    """A run fails or hangs where nothing was wrong for good."""
    for night in evening.nights:
        if night.state == "success" or night.name in ("bad model", "ended"):
            continue
        tasks = [task["task_id"] for task in night.tasks if task["state"] in ("failed", "up_for_retry", "running")]
        words = "; ".join(f"{name}: {text}" for name, text in night.last_words.items() if text)
        what = f"the night `{night.name}` {'hangs' if night.state == 'hangs' else 'has failed'}"
        todo = f"give the task retries, and let it bear what passes: {words or 'its log tells more'}"
        yield Defect("fails", ", ".join(sorted(set(tasks))), what, todo)


def paid_once(evening: Evening) -> Iterator[Defect]:
    """A task makes more than a calm night's jobs, and none was taken from it."""
    if evening.calm is None:
        return
    for night in evening.nights:
        if night.name not in ("lost", "dying"):
            continue
        spare = {each.id for each in night.made if each.id in night.evicted}
        for task, count in night.paid.items():
            lost = sum(each.id in spare for each in night.made if (each.place or evening.author(each)) == task)
            expected = evening.calm.paid[task] + lost
            if count > expected > 0:
                what = f"PAID TWICE: {count} instead of {expected} in the night `{night.name}`"
                todo = "look for what an earlier try has made before you make another, as DlcSubmitJobOperator does"
                yield Defect("paid_twice", task, what, todo)


def nothing_runs_on(evening: Evening) -> Iterator[Defect]:
    """A job goes on when its task is over."""
    for night in evening.nights:
        for task, made in night.left:
            what = f"RUNS ON: {made.kind} {made.id} after its task's end, in the night `{night.name}`"
            todo = "stop it in on_kill, or let an operator wait for it, deferred: a sleep loop stops nothing"
            yield Defect("runs_on", task, what, todo)


def own_folder(evening: Evening) -> Iterator[Defect]:
    """A run writes over what an earlier one has written."""
    found: dict[str, list[str]] = {}
    for uri in sorted({uri for night in evening.nights for uri in night.rewritten}):
        found.setdefault(_writer(evening, uri), []).append(uri)
    for task, uris in found.items():
        more = f" and {len(uris) - 1} more" if uris[1:] else ""
        what = f"OVERWRITTEN: {uris[0]}{more} of an earlier run"
        todo = "write below a prefix of the run's own: `output` makes one for each try"
        yield Defect("overwritten", task, what, todo)


def _writer(evening: Evening, uri: str) -> str:
    """Return the task of which a request or a field names a prefix of an address."""
    places = [(task, str(each.asked)) for task, made in evening.made.items() for each in made]
    places += [(task, str(dict(fields))) for task, fields in evening.rendered]
    folders = [uri[:end] for end in range(len(uri), len("oss://x"), -1) if uri[end - 1] == "/" or end == len(uri)]
    for folder in (*folders, *(folder.rstrip("/") for folder in folders)):
        # As a mount it bears the endpoint behind the bucket.
        bucket, _, key = folder.removeprefix("oss://").partition("/")
        form = re.compile(rf"oss://{re.escape(bucket)}(?:\.[^/'\"]+)?/{re.escape(key)}(?![\w.-])")
        for task, text in places:
            if form.search(text):
                return task
    return ""


def time_limit(evening: Evening) -> Iterator[Defect]:
    """Nothing ends a job that hangs."""
    for task, made in evening.made.items():
        if (evening.tasks.get(task) or {}).get("execution_timeout"):
            continue
        kinds = {each.kind for each in made if each.kind != "EAS service" and each.limit >= FALLBACK.seconds}
        for kind in sorted(kinds):
            what = f"NO TIME LIMIT: a {kind} that hangs is paid for until you notice, at best for a week"
            yield Defect("no_time_limit", task, what, "set execution_timeout or max_running_time")


def pinned_image(evening: Evening) -> Iterator[Defect]:
    """An image may be another one tomorrow."""
    for task, made in evening.made.items():
        for image in sorted({image for each in made for image in _images(each.asked) if not _is_pinned(image)}):
            todo = "name a tag other than latest, or a digest: a night that is run again must run the same"
            yield Defect("unpinned_image", task, f"UNPINNED IMAGE: {image}", todo)


def _images(value: Any) -> Iterator[str]:
    """Yield each image in a request."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name in ("Image", "ImageUrl", "image") and isinstance(each, str):
                yield each
            else:
                yield from _images(each)
    elif isinstance(value, list):
        for each in value:
            yield from _images(each)


def _is_pinned(image: str) -> bool:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@sha256:" in image or tag not in ("", "latest")


def enough_requests(evening: Evening) -> Iterator[Defect]:
    """A rollout's step passes on next to no requests."""
    for task in sorted({task for task, fields in evening.rendered if "plan" in fields and "group" in fields}):
        plans = [fields["plan"] for name, fields in evening.rendered if name == task]
        fewest = min(_min_requests(plan) for plan in plans)
        if fewest < FEWEST_REQUESTS:
            what = f"TOO FEW REQUESTS: a step of the rollout passes after {fewest}"
            todo = f"let min_requests be {FEWEST_REQUESTS} at least, better the default, {RolloutPlan().min_requests}"
            yield Defect("min_requests", task, what, todo)


def _min_requests(plan: Any) -> int:
    given = plan.get("min_requests") if isinstance(plan, Mapping) else None
    try:
        return RolloutPlan.parse({} if given is None else {"min_requests": given}).min_requests
    except PaiConfigError:
        return 0


def bad_models_stay_out(evening: Evening) -> Iterator[Defect]:
    """A model that fails half of the requests serves everybody."""
    for night in evening.nights:
        for member in night.after:
            if member.name in night.bad:
                what = f"BAD MODEL SERVES: {member.name} failed half of the requests, and was promoted"
                author = next((evening.author(each) for each in night.made if each.id == member.name), "")
                yield Defect("bad_model", author, what, "let a canary judge it under live traffic, with enough of it")


def backfills_deploy_nothing(evening: Evening) -> Iterator[Defect]:
    """A backfill of an old night changes what serves today."""
    for night in evening.nights:
        for member in sorted(night.after - night.before) if night.name == "backfill" else ():
            author = next((evening.author(each) for each in night.made if each.id == member.name), "")
            what = f"DEPLOYED BY A BACKFILL: {member.name} of an old night serves people"
            yield Defect("backfill", author, what, "deploy by EasCanaryDeployOperator without allow_backfill")


def people_are_answered(evening: Evening) -> Iterator[Defect]:
    """Live traffic met no answer, and no bad model is the reason."""
    if evening.failed:
        what = f"{len(evening.failed)} REQUESTS FAILED: {evening.failed[0]}"
        yield Defect("failed_requests", "", what, "take a model's traffic before you stop it, as a canary does")


def artifacts_are_whole(evening: Evening) -> Iterator[Defect]:
    """A manifest promises files that are not there, or are others."""
    for each in evening.torn:
        yield Defect("torn", "", f"TORN: {each}", "write the manifest last, and to no prefix that is written again")


def secrets_stay_hidden(evening: Evening) -> Iterator[Defect]:
    """A secret stands where anybody reads it."""
    for name, where, task in evening.seen:
        todo = "let Airflow mask it (a connection, a Variable with a telling name), and print it nowhere"
        yield Defect("secret_seen", task, f"SECRET SEEN: {name} in {where}", todo)
    for task, made in evening.made.items():
        names = {name for each in made for name, secret in secrets_in(each.asked) if _is_written(evening, secret)}
        for name in sorted(names):
            todo = "let the job's RAM role open what it needs (role_arn); at least take it from a connection"
            yield Defect("secret_in_file", task, f"SECRET IN THE DAG FILE: {name} stands in it, and in the job", todo)


def _is_written(evening: Evening, secret: str) -> bool:
    return len(secret) >= _SHORTEST_SECRET and secret in evening.source


def stays_here(evening: Evening) -> Iterator[Defect]:
    """A task speaks to somebody beside the connection."""
    for host in sorted(set(evening.refused)):
        todo = "take addresses from the connection, so that a test can lead them elsewhere"
        yield Defect("left_loopback", "", f"REFUSED: something wanted to speak to {host}", todo)


def has_retries(evening: Evening) -> Iterator[Defect]:
    """A worker that is lost fails the night."""
    for task in evening.made:
        if task in evening.tasks and not evening.tasks[task]["retries"]:
            yield Defect("no_retries", task, "NO RETRIES: a lost worker fails the night", "give it retries=2")


RULES: tuple[Rule, ...] = (
    paid_once,
    nothing_runs_on,
    bad_models_stay_out,
    backfills_deploy_nothing,
    people_are_answered,
    own_folder,
    artifacts_are_whole,
    secrets_stay_hidden,
    time_limit,
    pinned_image,
    enough_requests,
    has_retries,
    stays_here,
    runs_through,
)


def judged(evening: Evening) -> list[Defect]:
    """Return what is wrong, the worst first, each once."""
    return list(dict.fromkeys(finding for rule in RULES for finding in rule(evening)))
