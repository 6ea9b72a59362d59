"""Arguments of the hooks' methods that are a number, a switch, or several: refused before anything is sent."""

from __future__ import annotations

import pytest
from requests.adapters import HTTPAdapter

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.cloudmonitor import CloudMonitorHook
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.uri import OssUri

pytestmark = pytest.mark.usefixtures("connection")

AT = "oss://bucket/a"
NO_NUMBER = ["nan", float("nan"), float("inf"), 10**400, "much", True, -1, [1], b"1"]
NO_SWITCH = ["no", "", 1, None, [True]]
NO_LIST = [b"a", {"a": 1}, [None], 5.5j]
NO_OBJECT = ["a", [1], 5, b"{}", {"a": float("nan")}]
SPAN = {"period": 60, "start": 0, "end": 60}


def points(hook, dimensions=(), **span):
    return list(hook.points("namespace", "metric", dimensions, **{**SPAN, **span}))


CALLS = {
    "OssHook.get start": (OssHook, NO_NUMBER, lambda hook, bad: hook.get(AT, start=bad)),
    "OssHook.get size": (OssHook, NO_NUMBER, lambda hook, bad: hook.get(AT, size=bad)),
    "OssHook.append": (OssHook, NO_NUMBER, lambda hook, bad: hook.append(AT, b"", position=bad)),
    "OssHook.restore": (OssHook, NO_NUMBER, lambda hook, bad: hook.restore(AT, bad)),
    "OssHook.presign": (OssHook, [*NO_NUMBER, 604_801], lambda hook, bad: hook.presign(AT, expires=bad)),
    "OssHook.put": (OssHook, NO_SWITCH, lambda hook, bad: hook.put(AT, b"", overwrite=bad)),
    "OssHook.upload": (OssHook, [*NO_NUMBER, 0], lambda hook, bad: hook.upload(__file__, AT, threads=bad)),
    "OssHook.upload parts": (OssHook, [*NO_NUMBER, 0], lambda hook, bad: hook.upload(__file__, AT, part_size=bad)),
    "OssHook.download": (OssHook, [*NO_NUMBER, 0], lambda hook, bad: hook.download(AT, "none", threads=bad)),
    "OssHook.upload_folder": (OssHook, NO_SWITCH, lambda hook, bad: hook.upload_folder(".", AT, delete=bad)),
    "OssHook.download_folder": (OssHook, NO_SWITCH, lambda hook, bad: hook.download_folder(AT, ".", delete=bad)),
    "OssHook.copy_folder": (OssHook, NO_SWITCH, lambda hook, bad: hook.copy_folder(AT, f"{AT}2x", allow_empty=bad)),
    "OssHook.copy_folder threads": (
        OssHook,
        NO_NUMBER,
        lambda hook, bad: hook.copy_folder(AT, "oss://b-2/", threads=bad),
    ),
    "OssHook.delete_folder": (OssHook, NO_LIST, lambda hook, bad: hook.delete_folder(AT, include=bad)),
    "OssHook.delete_many": (OssHook, [[None], "a", [5]], lambda hook, bad: hook.delete_many(bad)),
    "DlcHook.events": (DlcHook, [*NO_NUMBER, 0], lambda hook, bad: hook.events("dlc1", bad)),
    "DlcHook.pod_logs": (DlcHook, [*NO_NUMBER, 0], lambda hook, bad: hook.pod_logs("dlc1", "pod", max_lines=bad)),
    "DlcHook.submit": (DlcHook, NO_OBJECT, lambda hook, bad: hook.submit(bad)),
    "DlcHook.wait": (DlcHook, [*NO_NUMBER, 0], lambda hook, bad: hook.wait("dlc1", poll_interval=bad)),
    "DlcHook.wait log": (DlcHook, NO_NUMBER, lambda hook, bad: hook.wait("dlc1", log_interval=bad)),
    "EasHook.release": (EasHook, NO_NUMBER, lambda hook, bad: hook.release("s", weight=bad, grouping=True)),
    "EasHook.set_mirror": (EasHook, [*NO_NUMBER, 101], lambda hook, bad: hook.set_mirror("s", ["t"], bad)),
    "EasHook.set_mirror targets": (EasHook, NO_LIST, lambda hook, bad: hook.set_mirror("s", bad, 5)),
    "EasHook.use_version": (EasHook, [*NO_NUMBER, 0], lambda hook, bad: hook.use_version("s", bad)),
    "EasHook.create": (EasHook, NO_OBJECT, lambda hook, bad: hook.create(bad)),
    "EasHook.update": (EasHook, NO_OBJECT, lambda hook, bad: hook.update("s", bad)),
    "CloudMonitorHook.points": (CloudMonitorHook, NO_NUMBER, lambda hook, bad: points(hook, period=bad)),
    "CloudMonitorHook.points span": (CloudMonitorHook, ["nan", float("inf")], lambda hook, bad: points(hook, end=bad)),
    "CloudMonitorHook.points of": (CloudMonitorHook, ["a", 5, None], points),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_not_meant_so_is_refused_before_anything_is_sent(name, monkeypatch):
    hook, values, call = CALLS[name]
    monkeypatch.setattr(HTTPAdapter, "send", lambda *_, **__: pytest.fail("it was sent"))
    for value in values:
        with pytest.raises(PaiConfigError):
            call(hook(), value)


def test_one_address_is_a_list_of_one(bucket):
    hook, at = OssHook(), f"oss://{bucket.bucket_name}/a"
    for one in (at, OssUri(bucket.bucket_name, "a"), [at]):
        hook.put(at, b"1")
        assert hook.delete_many(one) == 1
        assert hook.head(at) is None
