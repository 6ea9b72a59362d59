"""Console pages of the emulated account: where the links of a task lead; for people, no part of any API.

Their addresses below `/_emulator/console/pai` and `/oss` are those of the cloud's consoles; PAI's keeps the page in the
fragment of the URL.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.backend import DlcBackend
from airflow_provider_pai.emulator.dsw.backend import DswBackend
from airflow_provider_pai.emulator.eas.backend import EasBackend
from airflow_provider_pai.emulator.eas.logs import read_lines
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.oss.backend import OssBackend
from airflow_provider_pai.emulator.oss.listing import Cursor
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import is_local

HOME = "/_emulator/console"
_PAGES = f"{HOME}/pai/page"
_LINES = 200
_ITEMS = 1000
_FILE_BYTES = 1 << 20
_EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_HTML = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1d2b3a }}
h1 {{ font-size: 1.4rem }} h2 {{ font-size: 1.1rem; margin-top: 2rem }} a {{ color: #1a5fb4 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e3e8ee }}
th {{ font-weight: 600; white-space: nowrap }} td {{ overflow-wrap: anywhere }}
pre {{ margin: 0; white-space: pre-wrap; font-size: 13px }} pre.log {{ background: #f4f6f8; padding: .8rem }}
nav {{ color: #66788a }}
</style>
<nav><a href="{pages}/">PAI emulator</a></nav><h1>{title}</h1>{body}
"""
# A browser sends no fragment.
_ENTRY = '<!doctype html><script>location.replace("page" + (location.hash.slice(1) || "/"))</script>'


class Backends(NamedTuple):
    """The services that have pages."""

    dlc: DlcBackend
    dsw: DswBackend
    eas: EasBackend
    oss: OssBackend


class _Link(NamedTuple):
    text: str
    href: str


class _Page(NamedTuple):
    title: str
    body: list[str]


def routes(account: Account, backends: Backends) -> list[BaseRoute]:
    """Return the routes below `/_emulator/console`."""
    console = _Console(account, backends)
    return [
        Route(f"{HOME}/pai/", lambda _: HTMLResponse(_ENTRY)),
        Route(f"{_PAGES}/dlc/jobs/{{id}}/{{tab}}", _served(console.job)),
        Route(f"{_PAGES}/dsw/instances/{{id}}", _served(console.instance)),
        Route(f"{_PAGES}/eas/serviceDetail/{{id}}/{{tab}}", _served(console.service)),
        Route(f"{_PAGES}/{{other:path}}", _served(console.account_page)),
        Route(f"{HOME}/oss/bucket/{{place}}/{{bucket}}/object", _served(console.objects)),
        Route(f"{HOME}/oss/file", _served(console.file)),
    ]


class _Console:
    """One method a page."""

    def __init__(self, account: Account, backends: Backends) -> None:
        self.account = account
        self.dlc, self.dsw, self.eas, self.oss = backends

    async def account_page(self, _: Request) -> _Page:
        jobs = self.dlc.list({}, {}, 1, 100)["Jobs"]
        instances = self.dsw.list({}, {}, 1, 100)["Instances"]
        services = [self.eas.describe(service) for service in self.eas.listed()]
        buckets = await asyncio.to_thread(self.oss.buckets)
        body = [
            *_table("DLC jobs", ("JobId", "DisplayName", "Status", "GmtCreateTime"), jobs, _job_page),
            *_table("DSW instances", ("InstanceId", "InstanceName", "Status", "GmtCreateTime"), instances, _dsw_page),
            *_table("EAS services", ("ServiceName", "ServiceGroup", "Status", "Weight"), services, _service_page),
            *_table("OSS buckets", ("Name",), [{"Name": bucket.name} for bucket in buckets], self._bucket_page),
        ]
        return _Page("PAI emulator", body)

    async def job(self, request: Request) -> _Page:
        job = self.dlc.get(request.path_params["id"])
        body: list[str] = []
        for pod in job["Pods"]:
            lines = self.dlc.logs(job["JobId"], pod["PodId"], "", _EVER, _LINES)["Logs"]
            body += _log(f"Log of {pod['PodId']}: {pod['Status']}", lines)
        body += ["<h2>Job</h2>", _facts(job)]
        return _Page(f"DLC job {job['JobId']}: {job['Status']}", body)

    async def instance(self, request: Request) -> _Page:
        instance = self.dsw.get(request.path_params["id"])
        return _Page(f"DSW instance {instance['InstanceId']}: {instance['Status']}", [_facts(instance)])

    async def service(self, request: Request) -> _Page:
        service = self.eas.get(request.path_params["id"])
        facts = {name: value for name, value in self.eas.describe(service).items() if name != "AccessToken"}
        lines = await asyncio.to_thread(read_lines, service.folder / "logs", "")
        body = _log("Log", [f"{time:%H:%M:%S} {text}" for time, text in lines[-_LINES:]])
        body += _table("Events", ("Time", "Reason", "Message"), service.record.events[::-1])
        body += ["<h2>Service</h2>", _facts({**facts, "ServiceConfig": json.loads(facts["ServiceConfig"])})]
        return _Page(f"EAS service {service.record.name}: {service.record.status}", body)

    async def objects(self, request: Request) -> _Page:
        bucket, prefix = request.path_params["bucket"], request.query_params.get("path", "")
        await asyncio.to_thread(self.oss.bucket, bucket)
        cursor = Cursor(prefix=prefix.encode())
        _, found = await asyncio.to_thread(self.oss.objects.page, bucket, cursor, "", _ITEMS)
        items = [{"Key": each.key, "Size": each.size} for each in found]
        title = f"oss://{bucket}/{prefix}: " + (f"the first {_ITEMS} objects" if len(items) == _ITEMS else "objects")
        return _Page(title, _table("", ("Key", "Size"), items, lambda item: _file_page(bucket, item["Key"])))

    async def file(self, request: Request) -> _Page:
        bucket, key = (request.query_params.get(name, "") for name in ("bucket", "key"))
        stored, content = await asyncio.to_thread(self.oss.objects.open, bucket, key)
        with content:
            text = (await asyncio.to_thread(content.read, _FILE_BYTES)).decode(errors="replace")
        cut = f", the first {_FILE_BYTES} of them" if stored.size > _FILE_BYTES else ""
        return _Page(f"oss://{bucket}/{key}", _log(f"{stored.size} bytes{cut}", [text]))

    def _bucket_page(self, item: Json) -> str:
        return f"{HOME}/oss/bucket/oss-{self.account.settings.region}/{item['Name']}/object"


def _job_page(item: Json) -> str:
    return f"{_PAGES}/dlc/jobs/{item['JobId']}/overview"


def _dsw_page(item: Json) -> str:
    return f"{_PAGES}/dsw/instances/{item['InstanceId']}"


def _service_page(item: Json) -> str:
    return f"{_PAGES}/eas/serviceDetail/{item['ServiceName']}/detail"


def _file_page(bucket: str, key: str) -> str:
    return f"{HOME}/oss/file?{urlencode({'bucket': bucket, 'key': key})}"


def _served(page: Callable[[Request], Awaitable[_Page]]) -> Callable[[Request], Awaitable[Response]]:
    """Serve a page to this machine only; what is not there is told as the API tells it."""

    async def endpoint(request: Request) -> Response:
        if not is_local(request):
            return HTMLResponse("The console answers to this machine only.", 403)
        status = 200
        try:
            title, body = await page(request)
        except ApiError as error:
            status, title, body = error.status, error.code, [f"<p>{escape(error.message)}"]
        return HTMLResponse(_HTML.format(title=escape(title), body="".join(body), pages=_PAGES), status)

    return endpoint


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}<td>{_cell(value)}" for name, value in facts.items() if value != "")
    return f"<table>{rows}</table>"


def _table(
    title: str, heads: tuple[str, ...], items: Iterable[Json], page: Callable[[Json], str] | None = None
) -> list[str]:
    """Return a table; the first cell of each row leads to the item's page."""
    rows = []
    for item in items:
        first, *others = (item.get(head, "") for head in heads)
        cells = [_Link(str(first), page(item)) if page else first, *others]
        rows.append("<tr>" + "".join(f"<td>{_cell(cell)}" for cell in cells))
    head = "".join(f"<th>{head}" for head in heads)
    return [f"<h2>{escape(title)}</h2>", f"<table><tr>{head}{''.join(rows)}</table>" if rows else "<p>none"]


def _log(title: str, lines: Iterable[str]) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", f'<pre class="log">{escape(chr(10).join(lines))}</pre>']


def _cell(value: Any) -> str:
    if isinstance(value, _Link):
        return f'<a href="{escape(value.href)}">{escape(value.text)}</a>'
    if isinstance(value, dict | list):
        return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"
    return escape(str(value))
