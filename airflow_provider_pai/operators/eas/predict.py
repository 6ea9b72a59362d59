"""Operator that asks a service: one request, a few, or a file full."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError, PaiError
from airflow_provider_pai.inputs import Span, json_list, number, optional, parse_uri, seconds, share, whole_number
from airflow_provider_pai.links import EasServiceLink
from airflow_provider_pai.operators.eas.base import EasOperator
from airflow_provider_pai.remote import Json
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas.inference import Asker

PART = 500
"""Requests whose answers are kept together: what a worker that dies has to ask again at most."""
_LOG_EVERY = 10.0


class EasPredictOperator(EasOperator):
    """Ask a service or a group, check the answers, and keep them.

    A request is `{"path", "method", "json", "body", "headers", "status", "expect"}`; all may be left out. It is
    answered well with `status` (200) and with a body that holds `expect`. It is sent again when no answer comes or one
    that says 408, 429, 450, 500, 502, 503 or 504, at the beginning 404, too. A gateway learns of a service late: until
    one request has reached it, those that do not are sent again for `gateway_timeout`.

    With `output` the answers lie in a version folder below it as JSON lines `{"number", "status", "answer",
    "milliseconds", "wrong"}`, in the order of the requests, in parts of 500; a later try asks only what has no right
    answer there.

    :param service_name: service whose own endpoint is asked. (templated)
    :param group: or the group. (templated)
    :param requests: one request, a list, or the `oss://` address of a file with a JSON object a line. (templated)
    :param output: `oss://bucket/prefix`; needed for a file. (templated)
    :param path: path of requests that name none. (templated)
    :param min_correct: share of answers that must be right; the task fails after all answers are kept. (templated)
    :param attempts: how often a request is sent at most, the wait for the gateway aside.
    :param gateway_timeout: seconds. (templated)
    :param timeout: seconds for each answer.
    :param tolerance: relative difference that numbers may have to what is expected.
    :param concurrency: requests at once.
    :returns: without `output` the answers, at most 16 KiB: one for one request, a list for a list. With it `{"output",
        "requests", "wrong", "first_wrong", "seconds"}`; the same lies as `_summary.json` in the folder.
    """

    about = "Ask {service_name}{group}: {requests}"
    came = "{requests} requests answered, {wrong} of them wrong: {output}"

    operator_extra_links = (EasServiceLink(),)
    template_fields: Sequence[str] = (
        "service_name",
        "group",
        "requests",
        "output_uri",
        "path",
        "min_correct",
        "gateway_timeout",
    )
    template_fields_renderers = {"requests": "json"}

    def __init__(
        self,
        *,
        service_name: str | None = None,
        group: str | None = None,
        requests: Mapping[str, Any] | Sequence[Any] | str,
        output: str | None = None,
        path: str = "",
        min_correct: float | str = 1.0,
        attempts: int = 4,
        gateway_timeout: Span = 180.0,
        timeout: float = 30.0,
        tolerance: float = 1e-6,
        concurrency: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.service_name = service_name
        self.group = group
        self.requests = requests
        self.output_uri = output
        self.path = path
        self.min_correct = min_correct
        self.attempts = attempts
        self.gateway_timeout = gateway_timeout
        self.timeout = timeout
        self.tolerance = tolerance
        self.concurrency = concurrency

    def carry_out(self, context: Any) -> Any:
        """Ask everything.

        :raises PaiError: too many answers are wrong.
        """
        self._check()
        if self.service_name:
            EasServiceLink.persist(context, self.hook.console_url(self.service_name))
        return self._ask_few() if self.output_uri is None else self._ask_file(context)

    def told(self, result: Any) -> str:
        """Return in one line how many were answered; of a few, the XCom has the answers."""
        if self.output_uri is not None:
            return super().told(result)
        return f"{1 if _is_one(self.requests) else len(result)} requests answered"

    def _check(self) -> None:
        """Refuse bad input before anything is sent."""
        self.service_name = optional("service_name", self.service_name, "a service")
        self.group = optional("group", self.group, "a service group")
        if bool(self.service_name) == bool(self.group):
            raise PaiConfigError("service_name", self.service_name, "either a service or a group")
        self._limits()
        share("min_correct", self.min_correct)
        if self.output_uri is not None:
            parse_uri("output", self.output_uri)
        elif _is_address(self.requests):
            raise PaiConfigError("output", None, "a prefix on OSS, where the answers to a file of requests are kept")

    def _limits(self) -> Json:
        """Return how the service is asked."""
        from airflow_provider_pai.hooks.eas.inference import service_path

        return {
            "attempts": whole_number("attempts", self.attempts, least=1),
            "concurrency": whole_number("concurrency", self.concurrency, least=1),
            "timeout": seconds("timeout", self.timeout),
            "gateway_timeout": seconds("gateway_timeout", self.gateway_timeout, least=0),
            "tolerance": number("tolerance", self.tolerance, least=0),
            "path": service_path("path", self.path),
        }

    def _asker(self) -> Asker:
        from airflow_provider_pai.hooks.eas.inference import Asker

        hook = self.hook
        endpoint = hook.endpoint(self.service_name) if self.service_name else hook.group_endpoint(str(self.group))
        return Asker(endpoint=endpoint, clock=hook.clock, **self._limits())

    def _ask_few(self) -> Any:
        """Return the answers themselves."""
        from airflow_provider_pai.artifact import MAX_XCOM_BYTES
        from airflow_provider_pai.hooks.eas.inference import golden_request

        asked = [golden_request(f"requests[{index}]", request) for index, request in enumerate(self._listed())]
        asker = self._asker()
        with asker.session, ThreadPoolExecutor(asker.concurrency) as pool:
            answers = list(pool.map(asker.ask, asked))
        wrong = [answer for answer in answers if answer.wrong]
        self._judge(len(answers), len(wrong), wrong[0].wrong if wrong else "")
        bodies = [answer.body for answer in answers]
        size = len(json.dumps(bodies).encode())
        if size > MAX_XCOM_BYTES:
            raise PaiError(f"The answers are {size} bytes, too many for an XCom ({MAX_XCOM_BYTES}) → give output")
        return bodies[0] if _is_one(self.requests) else bodies

    def _listed(self) -> list[Any]:
        """Return the requests that the DAG lists itself.

        :raises PaiConfigError: there are none.
        """
        listed = json_list("requests", self.requests, "a request, a list of them, or the oss:// address of a file")
        if not listed:
            raise PaiConfigError("requests", self.requests, "at least one request")
        return listed

    def _ask_file(self, context: Any) -> Json:
        """Keep the answers on OSS and return what they come to."""
        from airflow_provider_pai.operators.eas.batches import Batch, wrong_ones

        output = parse_uri("output", self.output_uri).join(self.identity(context).version(1)).folder
        batch = Batch(oss=self.oss, source=self._source(output), output=output, part=PART)
        clock, total, wrong = self.hook.clock, batch.check(), []
        began = last_line = clock.monotonic()
        self.log.info("%d requests, answers to %s", total, output)

        def log_progress(answered: int, answers: list[Json]) -> None:
            nonlocal last_line
            wrong.extend(wrong_ones(answers))
            if answered == total or clock.monotonic() - last_line > _LOG_EVERY:
                last_line = clock.monotonic()
                share = 100 * answered // total
                self.log.info("%d of %d requests answered (%d %%), %d wrong", answered, total, share, len(wrong))

        batch.run(self._asker(), log_progress)
        end: Json = {
            "output": str(output),
            "requests": total,
            "wrong": len(wrong),
            "first_wrong": f"request {wrong[0]['number']}: {wrong[0]['wrong']}" if wrong else None,
            "seconds": round(clock.monotonic() - began, 1),
        }
        self.oss.put(output.join("_summary.json"), json.dumps(end))
        context["ti"].xcom_push(key="return_value", value=end)
        self._judge(total, len(wrong), end["first_wrong"] or "")
        return end

    def _source(self, output: OssUri) -> OssUri:
        """Return the file of requests; those that the DAG lists itself are put beside the answers."""
        if _is_address(self.requests):
            return parse_uri("requests", self.requests)
        file = output.join("_requests.jsonl")
        self.oss.put_once(file, "".join(f"{json.dumps(request)}\n" for request in self._listed()))
        return file

    def _judge(self, total: int, wrong: int, first: str) -> None:
        if wrong and 1 - wrong / total < share("min_correct", self.min_correct):
            todo = "mend the service or what is expected; a cleared task asks what has no right answer"
            raise PaiError(f"{wrong} of {total} answers are wrong; the first: {first} → {todo}")


def _is_one(requests: Any) -> bool:
    return isinstance(requests, Mapping) or (isinstance(requests, str) and not requests.lstrip().startswith("["))


def _is_address(requests: Any) -> bool:
    return isinstance(requests, str) and requests.startswith("oss:")
