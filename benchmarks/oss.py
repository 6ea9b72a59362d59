"""Cost of moving bytes to and from OSS: our hook, plain oss2, the alibaba provider's OSSHook, and curl as the limit.

Prints one JSON line. The emulator runs in a process of its own and serves everyone; each client is a fresh process per
measurement, so that its memory is its own. Rounds go through all clients one after the other; figures are medians.

- upload_1g, download_1g: MB/s of one file; `--size` for less. CRC64 is on for everyone but curl, which has none.
- small_files: files per second of 1,000 files of 64 KiB, up; peers as their users write it, in a loop.
- list_5000: objects per second of one listing.
- network: on a line with 20 ms and 50 MB/s per connection, MB/s of a download and an upload, ours with one thread
  (single) and with its usual ones (parallel), and files per second of 200 of the small files, ours against oss2's loop.
- many_files, on that line: files per second of `--many` files of 4 KiB up into an empty prefix (up), once more with
  nothing changed (again), down, and made a manifest of that is read back (manifest); mb: what the largest of these
  added to the process. Ours, ossutil's way (list and compare, three files at a time as it has it by default), and
  oss2's loop (a HEAD for each file but the first time), which does a tenth of the files, since each takes it as long.
- peak_mb: what the largest of a client's transfers added to its process at most (MB of RSS).

A peer that is not installed (extra `bench`, curl) ends it. The server makes an honest MD5 of every upload: no upload is
faster than that.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from peers import require

Json = dict[str, Any]
CLIENTS = ("curl", "ours", "oss2", "alibaba")
SYNCS = ("ours", "ossutil", "oss2")
BUCKET = "bench"
SMALL = 64 * 1024
TINY = 4 * 1024
LINE = {"match": "^oss", "delay": 0.02, "rate": 50e6}


# --- clients: each a class whose methods do one thing; constructed before the clock starts


class Ours:
    """OssHook."""

    def __init__(self) -> None:
        from airflow_provider_pai.hooks.oss import OssHook

        self.hook = OssHook()
        self.hook.head(f"oss://{BUCKET}/none")

    def upload(self, path: Path, key: str, **options: Any) -> None:
        self.hook.upload(path, f"oss://{BUCKET}/{key}", **options)

    def download(self, key: str, path: Path, **options: Any) -> None:
        self.hook.download(f"oss://{BUCKET}/{key}", path, **options)

    def small(self, folder: Path, prefix: str) -> None:
        self.hook.upload_folder(folder, f"oss://{BUCKET}/{prefix}")

    def list(self, prefix: str) -> int:
        return sum(1 for _ in self.hook.list_objects(f"oss://{BUCKET}/{prefix}"))

    def again(self, folder: Path, prefix: str) -> None:
        report = self.hook.upload_folder(folder, f"oss://{BUCKET}/{prefix}")
        assert not report.moved, report

    def down(self, prefix: str, folder: Path) -> None:
        self.hook.download_folder(f"oss://{BUCKET}/{prefix}", folder)

    def manifest(self, prefix: str) -> None:
        from airflow_provider_pai.artifact import ModelArtifact
        from airflow_provider_pai.manifests import read_artifact, write_artifact

        uri = f"oss://{BUCKET}/{prefix}"
        written = write_artifact(self.hook, ModelArtifact(name="many", version="20260101T0000Z-0", uri=uri))
        assert read_artifact(self.hook, uri) == written


class Oss2:
    """Plain oss2, as its README shows it."""

    def __init__(self) -> None:
        import oss2

        self.oss2 = oss2
        at = json.loads(os.environ["BENCH_ACCOUNT"])
        auth = oss2.AuthV4(at["access_key_id"], at["access_key_secret"])
        self.bucket = oss2.Bucket(auth, at["oss_endpoint"], BUCKET, region=at["region"])
        self.bucket.object_exists("none")

    def upload(self, path: Path, key: str) -> None:
        self.bucket.put_object_from_file(key, str(path))

    def download(self, key: str, path: Path) -> None:
        self.bucket.get_object_to_file(key, str(path))

    def small(self, folder: Path, prefix: str) -> None:
        for path in folder.iterdir():
            self.bucket.put_object_from_file(f"{prefix}{path.name}", str(path))

    def list(self, prefix: str) -> int:
        return sum(1 for _ in self._objects(prefix))

    def again(self, folder: Path, prefix: str) -> None:
        for path in folder.iterdir():
            etag = self.bucket.head_object(f"{prefix}{path.name}").etag
            assert etag == hashlib.md5(path.read_bytes()).hexdigest().upper()

    def down(self, prefix: str, folder: Path) -> None:
        folder.mkdir()
        for info in self._objects(prefix):
            self.bucket.get_object_to_file(info.key, str(folder / info.key.removeprefix(prefix)))

    def manifest(self, prefix: str) -> None:
        for _ in range(2):  # written, and read back
            for info in self._objects(prefix):
                self.bucket.head_object(info.key)

    def _objects(self, prefix: str) -> Iterator[Any]:
        return iter(self.oss2.ObjectIteratorV2(self.bucket, prefix=prefix, max_keys=1000))


class Ossutil(Oss2):
    """What `ossutil sync` does, on oss2: lists, compares sizes and times, and moves three files at a time."""

    def small(self, folder: Path, prefix: str) -> None:
        there = {info.key: info for info in self._objects(prefix)}
        self._each(
            lambda path: self.bucket.put_object_from_file(f"{prefix}{path.name}", str(path)),
            (path for path in folder.iterdir() if not _is_there(path, there.get(f"{prefix}{path.name}"))),
        )

    def again(self, folder: Path, prefix: str) -> None:
        self.small(folder, prefix)

    def down(self, prefix: str, folder: Path) -> None:
        folder.mkdir()
        self._each(
            lambda info: self.bucket.get_object_to_file(info.key, str(folder / info.key.removeprefix(prefix))),
            self._objects(prefix),
        )

    def manifest(self, prefix: str) -> None:
        """Make it of listings: it has none."""
        for _ in range(2):
            self.list(prefix)

    def _each(self, function: Callable[[Any], Any], items: Iterable[Any]) -> None:
        with ThreadPoolExecutor(3) as pool:
            for _ in pool.map(function, items):
                pass


class Alibaba:
    """OSSHook of apache-airflow-providers-alibaba."""

    def __init__(self) -> None:
        from airflow.providers.alibaba.cloud.hooks.oss import OSSHook

        self.hook = OSSHook(region=json.loads(os.environ["BENCH_ACCOUNT"])["region"], oss_conn_id="oss_bench")
        self.hook.object_exists("none", BUCKET)

    def upload(self, path: Path, key: str) -> None:
        self.hook.upload_local_file(key, str(path), BUCKET)

    def download(self, key: str, path: Path) -> None:
        self.hook.download_file(key, str(path), BUCKET)

    def small(self, folder: Path, prefix: str) -> None:
        for path in folder.iterdir():
            self.hook.upload_local_file(f"{prefix}{path.name}", str(path), BUCKET)

    def list(self, prefix: str) -> int:
        """Make the SDK's own paginator do it: the hook has no listing."""
        import alibabacloud_oss_v2 as v2

        client = self.hook.get_client() if hasattr(self.hook, "get_client") else self.hook._get_client()
        pages = client.list_objects_v2_paginator().iter_page(
            v2.ListObjectsV2Request(bucket=BUCKET, prefix=prefix, max_keys=1000)
        )
        return sum(len(page.contents or []) for page in pages)


class Curl:
    """curl with presigned URLs, which take no time of its own."""

    def __init__(self) -> None:
        self.sign = Oss2().bucket.sign_url

    def upload(self, path: Path, key: str) -> None:
        _curl("-T", str(path), "-H", "Content-Type:", "-H", "Expect:", self.sign("PUT", key, 600))

    def download(self, key: str, path: Path) -> None:
        _curl("-o", str(path), self.sign("GET", key, 600))

    def small(self, folder: Path, prefix: str) -> None:
        lines = ["-H", "Content-Type:", "-H", "Expect:"]
        for path in folder.iterdir():
            lines += ["-T", str(path), self.sign("PUT", f"{prefix}{path.name}", 600)]
        _curl(*lines)


def _curl(*arguments: str) -> None:
    subprocess.run(["curl", "-sS", "--fail", *arguments], check=True, stdout=subprocess.DEVNULL)


def _is_there(path: Path, info: Any) -> bool:
    status = path.stat()
    return info is not None and info.size == status.st_size and status.st_mtime <= info.last_modified


MADE: dict[str, Callable[[], Any]] = {
    "curl": Curl,
    "ours": Ours,
    "oss2": Oss2,
    "alibaba": Alibaba,
    "ossutil": Ossutil,
}


def be_client(kind: str, work: list[Any]) -> None:
    """Do one thing and print seconds and the MB that it added to the process."""
    os.dup2(2, 1)  # Airflow logs to stdout
    client = MADE[kind]()
    method, *arguments = work
    options = arguments.pop() if isinstance(arguments[-1], dict) else {}
    paths = [Path(each) if str(each).startswith("/") else each for each in arguments]
    before = _rss()
    begun = time.perf_counter()
    getattr(client, method)(*paths, **options)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    _say({"seconds": seconds, "mb": max(0.0, peak)})


def _rss() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


# --- the process that was called


class Bench:
    """One emulator and a folder."""

    def __init__(self, folder: Path, account: Json, runs: int) -> None:
        self.folder = folder
        self.account = account
        self.runs = runs
        self.peaks: dict[str, float] = {}
        extra = {name: account[name] for name in ("region", "workspace_id", "endpoint_url", "oss_endpoint")}
        keys = {"login": account["access_key_id"], "password": account["access_key_secret"]}
        peer = {
            "auth_type": "AK",
            "region": account["region"],
            "endpoint": account["oss_endpoint"],
            "access_key_id": keys["login"],
            "access_key_secret": keys["password"],
        }
        self.environment = {
            **os.environ,
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW_CONN_PAI_DEFAULT": json.dumps({"conn_type": "pai", **keys, "extra": extra}),
            "AIRFLOW_CONN_OSS_BENCH": json.dumps({"conn_type": "oss", "extra": peer}),
            "BENCH_ACCOUNT": json.dumps(account),
        }

    def ask(self, kind: str, *work: Any) -> float:
        """Return the seconds that a client took."""
        command = [sys.executable, __file__, "--client", kind, "--work", json.dumps([str_of(each) for each in work])]
        ended = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{kind} {work}: {ended.stderr}")
        found = json.loads(ended.stdout)
        self.peaks[kind] = max(self.peaks.get(kind, 0.0), found["mb"])
        return float(found["seconds"])

    def row(
        self,
        amount: float | dict[str, float],
        work: Callable[[str, int], tuple[Any, ...]],
        clients: tuple[str, ...] = CLIENTS,
    ) -> Json:
        """Return each client's amount per second: the median of the rounds."""
        amounts = amount if isinstance(amount, dict) else dict.fromkeys(clients, amount)
        times: dict[str, list[float]] = {kind: [] for kind in clients}
        for number in range(self.runs):
            for kind in clients:
                times[kind].append(self.ask(kind, *work(kind, number)))
        return {kind: round(amounts[kind] / statistics.median(seconds), 1) for kind, seconds in times.items()}

    def faults(self, rules: list[Json]) -> None:
        """Set faults in place of those that are set."""
        url = f"{self.account['endpoint_url']}/_emulator/faults"
        for method, body in (("DELETE", None), ("POST", json.dumps(rules).encode())):
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
            urllib.request.urlopen(request, timeout=10).close()

    def many(self, all_files: Path) -> Json:
        """Measure thousands of small files on a slow line."""
        number = len(list(all_files.iterdir()))
        amounts = {kind: float(number) for kind in SYNCS} | {"oss2": float(max(1, number // 10))}
        tenth = write_many(self.folder / "tenth", int(amounts["oss2"]), TINY)
        files = dict.fromkeys(SYNCS, all_files) | {"oss2": tenth}

        def at(kind: str, round_number: int) -> str:
            return f"many/{kind}/{round_number}/"

        self.peaks.clear()
        self.faults([LINE])
        try:
            found = {
                "up": self.row(amounts, lambda kind, n: ("small", files[kind], at(kind, n)), SYNCS),
                "again": self.row(amounts, lambda kind, n: ("again", files[kind], at(kind, n)), SYNCS),
                "down": self.row(amounts, lambda kind, n: ("down", at(kind, n), self.folder / f"{kind}{n}"), SYNCS),
                "manifest": self.row(amounts, lambda kind, n: ("manifest", at(kind, n)), SYNCS),
            }
        finally:
            self.faults([])
        return {"files": number, **found, "mb": {kind: round(mb, 1) for kind, mb in self.peaks.items()}}

    def network(self, source: Path, size: int, small: Path) -> Json:
        """Measure one thread and many on a slow line, and small files against oss2's loop."""
        self.faults([LINE])
        try:
            found: Json = {}
            for method, arguments in (("download", ("large-curl", self.folder / "got")), ("upload", (source, "far"))):
                for name, options in (("single", {"threads": 1}), ("parallel", {})):
                    seconds = self.ask("ours", method, *arguments, options)
                    found.setdefault(method, {})[name] = round(size / 1e6 / seconds, 1)
            files = len(list(small.iterdir()))
            found["small_files"] = self.row(files, lambda kind, n: ("small", small, f"far/{kind}/{n}/"), CLIENTS[1:3])
            return found
        finally:
            self.faults([])


def str_of(value: Any) -> Any:
    """Return a path as text."""
    return str(value) if isinstance(value, Path) else value


def absent(path: Path) -> Path:
    """Delete what the client before left: who replaces a file when the new one is complete needs room for both."""
    path.unlink(missing_ok=True)
    return path


def write(path: Path, size: int) -> Path:
    """Write a file of random blocks."""
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: min(len(block), size - start)])
    return path


def write_many(folder: Path, number: int, size: int = SMALL) -> Path:
    """Write small files."""
    folder.mkdir()
    for each in range(number):
        write(folder / f"{each:05d}", size)
    return folder


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[Json]:
    """Run the emulator in a process of its own."""
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--data", str(folder)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as server:
        try:
            yield json.loads(server.stdout.readline())
        finally:
            server.terminate()


def measure(options: argparse.Namespace) -> Json:
    """Run all rows."""
    with tempfile.TemporaryDirectory() as name, emulator(Path(name, "data")) as account:
        folder = Path(name)
        bench = Bench(folder, account, options.runs)
        import oss2

        auth = oss2.AuthV4(account["access_key_id"], account["access_key_secret"])
        bucket = oss2.Bucket(auth, account["oss_endpoint"], BUCKET, region=account["region"])
        bucket.create_bucket()
        found = {} if options.only_many else few_files(bench, options)
        found["many_files"] = bench.many(write_many(folder / "many", options.many, TINY))
    return found


def few_files(bench: Bench, options: argparse.Namespace) -> Json:
    """Run the rows of large files, of small ones and of listings."""
    size, folder = options.size << 20, bench.folder
    source = write(folder / "source", size)
    found: Json = {"mb": round(size / 1e6)}
    found["upload_1g"] = bench.row(size / 1e6, lambda kind, _: ("upload", source, f"large-{kind}"))
    found["download_1g"] = bench.row(size / 1e6, lambda kind, _: ("download", "large-curl", absent(folder / "got")))
    found["peak_mb"] = {kind: round(bench.peaks[kind], 1) for kind in CLIENTS[1:] if kind in bench.peaks}
    small = write_many(folder / "small", options.files)
    found["small_files"] = bench.row(options.files, lambda kind, n: ("small", small, f"small/{kind}/{n}/"))
    listed = Path(folder, "data", "oss", BUCKET, "list")
    listed.mkdir(parents=True)
    for number in range(options.objects):
        (listed / f"{number:05d}").touch()
    bench.ask("oss2", "list", "list/")  # the first look at files that came through a mount makes their digests
    found["list_5000"] = bench.row(options.objects, lambda *_: ("list", "list/"), CLIENTS[1:])
    found["network"] = bench.network(source, size, write_many(folder / "few", min(200, options.files)))
    return found


def _say(answer: Json) -> None:
    _answers.write(json.dumps(answer) + "\n")
    _answers.flush()


_answers = os.fdopen(os.dup(1), "w")


def main() -> None:
    """Measure everyone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large file (default: %(default)s)")
    parser.add_argument("--files", type=int, default=1000, help="small files (default: %(default)s)")
    parser.add_argument("--many", type=int, default=10_000, help="files on the slow line (default: %(default)s)")
    parser.add_argument("--only-many", action="store_true", help="the row of many files alone, which asks for no peer")
    parser.add_argument("--objects", type=int, default=5000, help="objects that are listed (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--client", choices=tuple(MADE), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        be_client(options.client, options.work)
    else:
        if not options.only_many:
            require("airflow.providers.alibaba", commands=("curl",))
        _say(measure(options))


if __name__ == "__main__":
    main()
