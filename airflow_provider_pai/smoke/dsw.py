"""Probe of DSW: a command that an instance runs at its start, with a prefix mounted that no object has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError, PaiPermissionError
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.labels import Key
from airflow_provider_pai.remote import Json
from airflow_provider_pai.smoke.round import Leftover, Round
from airflow_provider_pai.states import DSW_INSTANCE, Verdict
from airflow_provider_pai.uri import OssUri

_RUN, _NONE = "/mnt/pai/run", "/mnt/pai/none"
_LONG = 2000
"""Characters of a command that is longer than the limit that a sibling API has."""
_LOOKS = 3
"""At an instance during its command, before it is believed to be in use only after it."""


def probe_dsw(one: Round) -> None:
    """Read the form of a refusal, run the command, see who ran it and when."""
    hook, oss = one.sibling(DswHook), one.sibling(OssHook)
    _refusal(one, hook)
    run = one.folder.join(one.key, "run").folder
    oss.put(run, b"")  # the prefix itself, so that it can be mounted
    instance_id = _create(one, hook, run)
    with one.made(f"DSW instance {instance_id}", partial(take_instance_away, one, hook, instance_id)):
        _timer(one, hook, instance_id)
        status = one.wait("the instance", lambda: _settled(hook, oss, instance_id, run))
        fails = DSW_INSTANCE.judge(status) is Verdict.FAILED
        one.facts.learn("dsw_missing_prefix", "fails" if fails else "mounted", f"the instance is {status}")
        if not fails:
            _watch(one, hook, oss, instance_id, run)
    if fails:
        again = hook.submit(_body(one, run, missing=False))
        with one.made(f"DSW instance {again}", partial(take_instance_away, one, hook, again)):
            one.wait("the instance", lambda: _settled(hook, oss, again, run))
            _watch(one, hook, oss, again, run)


def _refusal(one: Round, hook: DswHook) -> None:
    """Ask for an instance that there is not; API: GetInstance."""
    from alibabacloud_pai_dsw20220101.models import GetInstanceRequest

    try:
        answer = hook.call("GetInstance", lambda: hook.client.get_instance("dsw-airflow-smoke", GetInstanceRequest()))
    except PaiApiError as error:
        one.facts.learn("dsw_refusal", "status", f"{error.status} {error.code}: {error}")
    else:
        body = answer.body
        one.facts.learn("dsw_refusal", "body", f"Success={body.success} {body.http_status_code} {body.code}")


def _create(one: Round, hook: DswHook, run: OssUri) -> str:
    """Create the instance, with a long command where that is taken."""
    try:
        instance_id = hook.submit(_body(one, run, padding="#" * _LONG))
        one.facts.learn("dsw_on_start_size", 0, f"a command of more than {_LONG} characters is taken")
    except PaiApiError as error:
        instance_id = hook.submit(_body(one, run))
        one.facts.learn("dsw_on_start_size", 1024, f"a command of more than {_LONG} characters: {error}")
    return instance_id


def _timer(one: Round, hook: DswHook, instance_id: str) -> None:
    """Ask for a timer of an instance that is being made."""
    asking = hook.sibling(DswHook)
    asking.retry_seconds = 0
    try:
        asking.stop_at(instance_id, hook.service_clock.utc() + timedelta(days=1))
    except PaiPermissionError as error:
        one.facts.learn("dsw_timer", None, str(error))
    except PaiApiError as error:
        one.facts.learn("dsw_timer", "running", str(error))
    else:
        one.facts.learn("dsw_timer", "early", "an instance that is being made takes a timer")


def _body(one: Round, run: OssUri, *, padding: str = "", missing: bool = True) -> Json:
    oss = one.sibling(OssHook)
    mounts = {_RUN: run} | ({_NONE: one.folder.join(one.key, "none").folder} if missing else {})
    command = f"id -u > {_RUN}/began\nsleep {10 * one.choice.pause:g}\ndate > {_RUN}/ended\n{padding}"
    datasets = [{"Uri": oss.mount_uri(uri), "MountPath": path, "MountAccess": "RW"} for path, uri in mounts.items()]
    return {
        "InstanceName": f"{Key.SMOKE}_{one.key}",
        "EcsSpec": one.choice.instance_type,
        "ImageUrl" if "/" in one.choice.image else "ImageId": one.choice.image,
        "Datasets": datasets,
        "UserCommand": {"OnStart": {"Content": command}},
        "Labels": [{"Key": name, "Value": value} for name, value in one.labels.items()],
        "Accessibility": "PRIVATE",
    }


def _settled(hook: DswHook, oss: OssHook, instance_id: str, run: OssUri) -> str | None:
    """Return the instance's status once it runs, its command has begun, or it has failed."""
    status = hook.get(instance_id).status
    settled = DSW_INSTANCE.judge(status) is not Verdict.ACTIVE or _text(oss, run.join("began")) is not None
    return status if settled else None


def _watch(one: Round, hook: DswHook, oss: OssHook, instance_id: str, run: OssUri) -> None:
    """See whether the instance is in use before its command has ended, and who ran that."""
    during: list[str] = []

    def ended() -> bool | None:
        status = hook.get(instance_id).status
        if _text(oss, run.join("ended")) is not None:
            return True
        if _text(oss, run.join("began")) is not None:
            during.append(status)
        return None

    one.wait("the end of the command", ended)
    usable = any(DSW_INSTANCE.judge(status) is Verdict.SUCCEEDED for status in during)
    position = "beside" if usable else ("blocking" if len(during) >= _LOOKS else None)
    one.facts.learn("dsw_on_start", position, f"during the command it was {', '.join(dict.fromkeys(during))}")
    uid = (_text(oss, run.join("began")) or "").strip()
    one.facts.learn("dsw_user", ("root" if uid == "0" else "user") if uid else None, f"uid {uid or 'unknown'}")


def _text(oss: OssHook, uri: OssUri) -> str | None:
    try:
        return oss.get(uri).decode(errors="replace")
    except PaiNotFoundError:
        return None


def take_instance_away(one: Round, hook: DswHook, instance_id: str) -> None:
    """Stop an instance, and delete it once it rests."""
    one.bring_to_rest(hook, instance_id, partial(hook.stop, instance_id), (Verdict.FAILED,))
    hook.delete(instance_id)


def leftover_instances(one: Round) -> Iterator[Leftover]:
    """Yield what an earlier round has left."""
    hook = one.sibling(DswHook)
    for instance in hook.tagged(one.labels):
        yield f"DSW instance {instance.job_id}", partial(take_instance_away, one, hook, instance.job_id)
