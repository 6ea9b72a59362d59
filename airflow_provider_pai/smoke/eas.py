"""Probe of EAS: a service in a fresh group, a second one at ten percent, and what weights, versions and labels do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from airflow_provider_pai.exceptions import PaiApiError, PaiError, PaiNotFoundError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.eas.calls import labels_of
from airflow_provider_pai.hooks.eas.creation import RAM_ROLE
from airflow_provider_pai.hooks.eas.inference import Asker, GoldenRequest
from airflow_provider_pai.hooks.eas.service_config import fingerprint, value_at, with_value
from airflow_provider_pai.labels import Key
from airflow_provider_pai.remote import Json
from airflow_provider_pai.smoke import cloudmonitor
from airflow_provider_pai.smoke.round import Leftover, Round
from airflow_provider_pai.states import EAS_SERVICE

PREFIX = f"{Key.SMOKE}_"
GROUP_KEYS = ("metadata.group", "metadata.service_group")
DUPLICATE_CODES = (
    "409 ResourceAlreadyExist",
    "400 InvalidParameter.ServiceName",
    "403 Forbidden.PrivilegeCheckFailed",
)
_REQUESTS = 300

# Answers with its own name, so that a share can be counted.
_SCRIPT = """python3 -c 'import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["WHO"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()'"""


def probe_eas(one: Round) -> None:
    """Deploy two services into a fresh group and read the facts that they show."""
    hook = one.sibling(EasHook)
    first, second, group = (f"{PREFIX}{one.key}_{part}" for part in ("a", "b", "g"))
    with _kept(one, hook, first):
        key = _group_key(one, hook, first, group)
        _duplicate(one, hook, first)
        _labels(one, hook, first)
        _answers(one, hook, first)
        if key is not None:
            with _kept(one, hook, second):
                _create(hook, _config(one, second, key, group), one.labels)
                _member_traffic(one, hook, second)
                _answers(one, hook, second)
                _weights(one, hook, first, second, group)
        cloudmonitor.probe_metrics(one, first)
        _versions(one, hook, first, key, group)
    _image_only(one, hook, f"{PREFIX}{one.key}_c")


def _create(hook: EasHook, config: Json, labels: Mapping[str, str]) -> None:
    """Create a service as it is, without the checks that a deployment makes; API: CreateService."""
    from alibabacloud_eas20210701.models import CreateServiceRequest

    request = CreateServiceRequest(
        body=json.dumps(config), labels=dict(labels), workspace_id=hook.connection.workspace_id
    )
    hook.call("CreateService", lambda: hook.client.create_service(request), repeatable=False)


def _config(one: Round, name: str, key: str | None, group: str, **container: Any) -> Json:
    metadata: Json = {"name": name, "instance": 1, "rolling_strategy": {"max_surge": 1}}
    if key is not None:
        metadata[key.removeprefix("metadata.")] = group
    return {
        "metadata": metadata,
        "cloud": {"computing": {"instances": [{"type": one.choice.service_type}]}},
        "containers": [
            container
            or {
                "image": one.choice.image,
                "port": 8000,
                "script": _SCRIPT,
                "env": [{"name": "WHO", "value": name}],
            }
        ],
    }


def _kept(one: Round, hook: EasHook, name: str) -> AbstractContextManager[None]:
    return one.made(f"EAS service {name}", partial(take_service_away, one, hook, name))


def take_service_away(one: Round, hook: EasHook, name: str) -> None:
    """Delete a service and see it gone."""
    hook.delete(name)
    one.wait(f"the end of EAS service {name}", lambda: _is_gone(hook, name))


def _is_gone(hook: EasHook, name: str) -> bool | None:
    try:
        hook.describe(name)
    except PaiNotFoundError:
        return True
    return None


def _group_key(one: Round, hook: EasHook, name: str, group: str) -> str | None:
    """Create the first service; return the key that put it into the group, None where no known one did."""
    for key in GROUP_KEYS:
        refused = ""
        try:
            _create(hook, with_value(_config(one, name, key, group), RAM_ROLE, True), one.labels)
        except PaiApiError as error:
            refused = str(error)
        if refused:
            one.facts.seen["eas_ram_role"] = f"refused with {RAM_ROLE}: {refused}"
            _create(hook, _config(one, name, key, group), one.labels)
        described = hook.describe(name)
        if not refused and (config := described.get("ServiceConfig")):
            role = value_at(json.loads(config), RAM_ROLE)
            one.facts.learn("eas_ram_role", "taken" if role else "ignored", f"{RAM_ROLE} is {role} in ServiceConfig")
        if described.get("ServiceGroup") == group:
            one.facts.learn("eas_group_key", key, f"{key} put the service into the group")
            return key
        if key != GROUP_KEYS[-1]:
            take_service_away(one, hook, name)
    one.facts.learn("eas_group_key", "ignored", f"neither {' nor '.join(GROUP_KEYS)} put the service into the group")
    return None


def _duplicate(one: Round, hook: EasHook, name: str) -> None:
    """Create a service whose name is taken."""
    code = one.answer(lambda: _create(hook, _config(one, name, None, ""), one.labels))
    one.facts.learn("eas_duplicate_code", code if code in DUPLICATE_CODES else None, code or "taken twice")


def _labels(one: Round, hook: EasHook, name: str) -> None:
    """Set a label that the tag rule forbids; API: UpdateServiceLabel."""
    key, value = f"{Key.SMOKE}_url", "http://airflow.example"
    refused = one.answer(lambda: hook.label(name, {key: value}))
    kept = None if refused else labels_of(hook.describe(name)).get(key)
    position = "refused" if refused else ("free" if kept == value else "cut")
    one.facts.learn("label_values", position, f"a label with http://: {refused or f'kept as {kept!r}'}")


def _answers(one: Round, hook: EasHook, name: str) -> None:
    """Wait until a service runs, and until its gateway answers."""
    one.wait(f"EAS service {name}", lambda: _runs(hook, name))
    endpoint = hook.endpoint(name)
    began = hook.clock.monotonic()
    asker = Asker(endpoint=endpoint, attempts=1, timeout=10, tolerance=0, path="/", clock=hook.clock)
    with asker.session:
        one.wait("the gateway", lambda: asker.ask(GoldenRequest(method="GET")).status == 200 or None)
    one.facts.learn("eas_warm_up", None, f"the gateway answered {hook.clock.monotonic() - began:.1f} s after Running")


def _runs(hook: EasHook, name: str) -> bool | None:
    job = hook.get(name)
    if job.status in EAS_SERVICE.broken:
        raise PaiError(f"EAS service {name} is {job.status}: {job.reason}\n{hook.last_words(job)}")
    return job.status in EAS_SERVICE.succeeded or None


def _member_traffic(one: Round, hook: EasHook, name: str) -> None:
    """Read the traffic state of a member that nobody has released."""
    state = hook.describe(name).get("TrafficState")
    known = state if state in ("standalone", "grouping") else None
    one.facts.learn("eas_member_traffic", known, f"a new member is {state}")


def _weights(one: Round, hook: EasHook, first: str, second: str, group: str) -> None:
    """Give the second a tenth, then weight 0, then take it out; API: ReleaseService, UpdateGroup."""
    hook.set_traffic_mode(group, "customized")
    hook.release(first, weight=90, grouping=True)
    hook.release(second, weight=10, grouping=True)
    tenth = _share(one, hook, group, second)
    one.facts.learn("eas_share", None, f"weight 10 of 100 got {tenth} of {_REQUESTS} requests")
    hook.release(second, weight=0, grouping=True)
    one.hook.clock.sleep(one.choice.pause)
    none = _share(one, hook, group, second)
    one.facts.learn("eas_weight_zero", "little" if none else "nothing", f"weight 0 got {none} of {_REQUESTS} requests")
    hook.release(second, weight=10, grouping=True)
    _release_alone(hook, second)
    weight = hook.describe(second).get("Weight")
    one.facts.learn("eas_weight_standalone", "kept" if weight == 10 else "lost", f"standalone, its weight is {weight}")


def _release_alone(hook: EasHook, name: str) -> None:
    """Take a member out without a word on its weight."""
    from alibabacloud_eas20210701.models import ReleaseServiceRequest

    request = ReleaseServiceRequest(traffic_state="standalone")
    hook.call("ReleaseService", lambda: hook.client.release_service(hook.connection.region, name, request))


def _share(one: Round, hook: EasHook, group: str, name: str) -> int:
    """Count the answers of one member among those of its group."""
    endpoint = hook.group_endpoint(group)
    asker = Asker(endpoint=endpoint, attempts=10, timeout=10, tolerance=0, path="/", clock=hook.clock)
    with asker.session:
        answers = [asker.ask(GoldenRequest(method="GET")).body for _ in range(_REQUESTS)]
    return sum(name in str(answer) for answer in answers)


def _versions(one: Round, hook: EasHook, name: str, key: str | None, group: str) -> None:
    """Scale, and lay a JSON without a nested key over the service's; API: UpdateService, ListServiceVersions."""
    before = hook.describe(name).get("LatestVersion") or 0
    _update(one, hook, name, {"metadata": {**_config(one, name, key, group)["metadata"], "instance": 2}})
    scaled = hook.describe(name).get("LatestVersion") or 0
    position = "new_version" if scaled > before else "in_place"
    one.facts.learn("eas_scaling", position, f"latest version {before}, after scaling {scaled}")
    config = _config(one, name, key, group)
    del config["metadata"]["rolling_strategy"]
    config["containers"][0]["env"].append({"name": "ROUND", "value": one.key})
    _update(one, hook, name, config)
    serving = hook.describe(name).get("ServiceConfig") or "{}"
    metadata = json.loads(serving).get("metadata") or {}
    depth = "deep" if "rolling_strategy" in metadata else "top"
    one.facts.learn("eas_merge", depth, f"metadata after a merge without rolling_strategy: {', '.join(metadata)}")
    versions = _listed(hook, name)
    times = [str(version.get("BuildTime") or "") for version in versions]
    is_newest = [fingerprint(version.get("ServiceConfig")) == fingerprint(serving) for version in versions]
    orders = {(True, False): "newest_first", (False, True): "oldest_first"}
    order = orders.get((is_newest[0], is_newest[-1])) if versions else None
    one.facts.learn("eas_versions", order, f"built at {', '.join(times)}")


def _update(one: Round, hook: EasHook, name: str, config: Json) -> None:
    """Lay a service JSON over a service's as it is, which the hook would make whole."""
    from alibabacloud_eas20210701.models import UpdateServiceRequest

    request = UpdateServiceRequest(body=json.dumps(config), update_type="merge")
    hook.call("UpdateService", lambda: hook.client.update_service(hook.connection.region, name, request))
    one.wait(f"EAS service {name}", lambda: _runs(hook, name))


def _listed(hook: EasHook, name: str) -> list[Json]:
    """Return versions in the order of the answer."""
    from alibabacloud_eas20210701.models import ListServiceVersionsRequest

    request = ListServiceVersionsRequest(page_number=1, page_size=50)
    call: Callable[[], Any] = lambda: hook.client.list_service_versions(hook.connection.region, name, request)  # noqa: E731
    return [version.to_map() for version in hook.call("ListServiceVersions", call).body.versions or []]


def _image_only(one: Round, hook: EasHook, name: str) -> None:
    """Create a service of which only the image is known."""
    config = _config(one, name, None, "", image=one.choice.image, port=8000)
    with _kept(one, hook, name):
        refused = one.answer(lambda: _create(hook, config, one.labels))
    one.facts.learn("eas_image_only", "refused" if refused else "accepted", refused or "taken")


def leftover_services(one: Round) -> Iterator[Leftover]:
    """Yield what an earlier round has left: by label and name, so that nothing of others is touched."""
    hook = one.sibling(EasHook)
    for service in hook.list_services(label=one.labels):
        name = str(service["ServiceName"])
        if name.startswith(PREFIX):
            yield f"EAS service {name}", partial(take_service_away, one, hook, name)
