"""TensorBoards of DLC through the real SDK: what they show, and when their processes end."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import requests
from alibabacloud_pai_dlc20201203 import models as dlc
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_pai.emulator import Emulator
from tests.conftest import oss_bucket
from tests.emulator.pai_sdk import client, data_source, job_request, run_job, unknown_fields, until

REAL = importlib.util.find_spec("tensorboard") is not None


@pytest.fixture(scope="module")
def boards(pai):
    return client(pai, "dlc")


@pytest.fixture
def logs(bucket):
    """A bucket with one run's file below tb/."""
    bucket.put_object("tb/run1/events.txt", b"loss 0.5")
    return bucket


def uri(bucket, prefix):
    return data_source(bucket, prefix, "/x")["Uri"]


def create(boards, **fields):
    """Create a TensorBoard; `fields` are wire names."""
    return boards.create_tensorboard(dlc.CreateTensorboardRequest().from_map(fields)).body.tensorboard_id


def get(boards, board_id):
    return boards.get_tensorboard(board_id, dlc.GetTensorboardRequest()).body


def wait(boards, board_id, status):
    return until(lambda: get(boards, board_id), lambda board: board.status == status)


def page(board):
    return requests.get(board.tensorboard_url, timeout=10).text


def shows(board, name):
    """Tell whether a file or folder is on the page; a real TensorBoard draws its page in the browser."""
    return REAL or f'href="{name}"' in page(board)


def answers(url):
    try:
        return requests.get(url, timeout=10).ok
    except requests.ConnectionError:
        return False


def test_serves_the_log_folder_from_creating_to_stopped_and_again(boards, logs):
    board_id = create(
        boards,
        DisplayName="tb",
        DataSourceType="OSS",
        Uri=uri(logs, "tb/"),
        SummaryRelativePath="/run1/",
        MaxRunningTimeMinutes=60,
        Cpu=1,
        Memory=2,
    )
    board = wait(boards, board_id, "Running")
    assert board.tensorboard_url.startswith("http://127.0.0.1:")
    assert answers(board.tensorboard_url)
    assert shows(board, "events.txt")
    assert (board.display_name, board.cpu, board.memory, board.max_running_time_minutes) == ("tb", 1, 2, 60)
    assert (board.summary_relative_path, board.accessibility, board.gmt_finish_time) == ("/run1/", "PRIVATE", None)
    boards.stop_tensorboard(board_id, dlc.StopTensorboardRequest())
    stopped = wait(boards, board_id, "Stopped")
    assert (stopped.reason_code, stopped.tensorboard_url) == ("StoppedByUser", None)
    assert board.gmt_create_time <= stopped.gmt_finish_time
    assert not answers(board.tensorboard_url)
    boards.start_tensorboard(board_id, dlc.StartTensorboardRequest())
    assert get(boards, board_id).gmt_finish_time is None
    assert answers(wait(boards, board_id, "Running").tensorboard_url)
    boards.delete_tensorboard(board_id, dlc.DeleteTensorboardRequest())


@pytest.mark.skipif(REAL, reason="a real TensorBoard shows events, not files")
def test_shows_what_is_written_while_it_runs(boards, logs):
    board = wait(boards, create(boards, Uri=uri(logs, "tb/")), "Running")
    assert shows(board, "run1/")
    logs.put_object("tb/run2/events.txt", b"loss 0.4")
    assert shows(board, "run2/")
    assert requests.get(f"{board.tensorboard_url}run2/events.txt", timeout=10).text == "loss 0.4"
    boards.delete_tensorboard(board.tensorboard_id, dlc.DeleteTensorboardRequest())


def test_a_delete_ends_the_process_at_once(boards, logs):
    board = wait(boards, create(boards, Uri=uri(logs, "tb/")), "Running")
    boards.delete_tensorboard(board.tensorboard_id, dlc.DeleteTensorboardRequest())
    with pytest.raises(ClientException) as refusal:
        get(boards, board.tensorboard_id)
    assert (refusal.value.status_code, refusal.value.code) == (404, "NotFound")
    until(lambda: answers(board.tensorboard_url), lambda answer: not answer)


@pytest.fixture
def job_id(boards, logs):
    """A job that wrote its events to a data source."""
    sources = [data_source(logs, "in/", "/mnt/in", "RO"), data_source(logs, "out/", "/mnt/out")]
    command = "mkdir -p $LOGS/run; echo 1 > $LOGS/run/events.txt"
    request = job_request(command, Envs={"LOGS": "/mnt/out/tb"}, DataSources=sources)
    return run_job(boards, request).job_id


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"JobId": "JOB", "SummaryPath": "/mnt/out/tb"}, "run/"),
        ({"SourceType": "job", "SourceId": "JOB", "SummaryPath": "/mnt/out", "SummaryRelativePath": "tb"}, "run/"),
        ({"JobId": "JOB"}, "mnt/"),
        ({"JobId": "JOB", "Uri": "URI", "SummaryRelativePath": "/tb/"}, "run/"),
        ({"Uri": "URI", "Options": json.dumps({"mountpath": "/root/data/"}), "SummaryPath": "/root/data/tb"}, "run/"),
        ({"TensorboardDataSources": [{"DirectoryName": "a", "Uri": "URI", "SummaryPath": "/tb"}]}, "a/"),
        ({"TensorboardDataSources": [{"SourceType": "dlcjob", "Id": "JOB", "SummaryPath": "/mnt/out/tb"}]}, "JOB/"),
        ({"TensorboardDataSources": [{"Name": "b", "FullSummaryPath": "URI"}, {"Id": "c", "Uri": "URI"}]}, "b/"),
    ],
)
def test_the_ways_to_name_a_folder(boards, logs, job_id, fields, shown):
    text = json.dumps(fields).replace("JOB", job_id).replace("URI", uri(logs, "out/"))
    board = wait(boards, create(boards, **json.loads(text)), "Running")
    assert board.job_id == (job_id if "JobId" in fields or "SourceId" in fields else None)
    assert shows(board, shown.replace("JOB", job_id))
    boards.delete_tensorboard(board.tensorboard_id, dlc.DeleteTensorboardRequest())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "Uri, JobId or TensorboardDataSources is required"),
        ({"DataSourceId": "d-1"}, "DataSourceId 'd-1' does not exist"),
        ({"Uri": "nas://x/"}, "Uri must look like"),
        ({"Uri": "oss://bbb/x/", "DataSourceType": "NAS"}, "the emulator has OSS only"),
        ({"Uri": "oss://bbb/x/", "SummaryPath": "/elsewhere"}, "'/elsewhere' is not below a mount path: /mnt/data"),
        ({"Uri": "oss://bbb/x/", "SummaryRelativePath": "../y"}, "is not below a mount path"),
        ({"Uri": "oss://bbb/x/", "Options": "[]"}, "Options must be a JSON object"),
        ({"Uri": "oss://bbb/x/", "Options": '{"MountPath": "x"}'}, "Options.MountPath must be an absolute path"),
        ({"TensorboardDataSources": [{"SourceType": "datasource"}]}, r"TensorboardDataSources\[0\] must have Uri"),
        ({"TensorboardDataSources": [{"Name": "../x", "Uri": "oss://bbb/x/"}]}, "DirectoryName must be an absolute"),
        ({"TensorboardDataSources": 2 * [{"Name": "x", "Uri": "oss://bbb/x/"}]}, "lie in one another"),
        ({"JobId": "dlcnone"}, "Job dlcnone does not exist"),
        ({"SourceType": "pipeline", "Uri": "oss://bbb/x/"}, "SourceType must be job"),
        ({"Uri": "oss://bbb/x/", "MaxRunningTimeMinutes": 0}, "MaxRunningTimeMinutes must be a whole number"),
        ({"Uri": "oss://bbb/x/", "Priority": "10"}, "Priority must be one of"),
        ({"Uri": "oss://bbb/x/", "WorkspaceId": "1"}, "WorkspaceId '1' does not exist"),
    ],
)
def test_refuses_what_it_can_not_show(boards, fields, message):
    with pytest.raises(ClientException, match=message):
        create(boards, **fields)


def test_refuses_a_job_path_outside_of_its_data_sources(boards, job_id):
    with pytest.raises(ClientException, match="'/mnt' is not below a mount path: /mnt/in, /mnt/out"):
        create(boards, JobId=job_id, SummaryPath="/mnt")
    bare = run_job(boards, job_request("true")).job_id
    with pytest.raises(ClientException, match="has no data sources"):
        create(boards, JobId=bare)


def test_an_unknown_bucket_fails_it(boards):
    board_id = create(boards, Uri="oss://no-such-bucket-here/x/")
    board = wait(boards, board_id, "Failed")
    assert (board.reason_code, "NoSuchBucket" in board.reason_message) == ("DataSourceMountFailed", True)
    boards.start_tensorboard(board_id, dlc.StartTensorboardRequest())
    wait(boards, board_id, "Failed")


def test_a_server_that_ends_fails_it(tmp_path, monkeypatch):
    command = "airflow_provider_pai.emulator.dlc.tensorboards.life.serve_command"
    monkeypatch.setattr(command, lambda folder, port: "echo no memory; exit 3")
    with Emulator(tmp_path, dwell=0.01) as pai:
        oss_bucket(pai, "some-bucket").create_bucket()
        boards = client(pai, "dlc")
        board = wait(boards, create(boards, Uri="oss://some-bucket/x/"), "Failed")
    assert board.reason_message == "The server ended with exit code 3: no memory"
    assert list((tmp_path / "dlc").iterdir()) == []


def test_only_what_rests_starts_and_only_what_is_active_stops(boards, logs):
    board_id = create(boards, Uri=uri(logs, "tb/"))
    for status in ("Running", "Stopped"):
        wait(boards, board_id, status)
        call, request = {
            "Running": (boards.start_tensorboard, dlc.StartTensorboardRequest()),
            "Stopped": (boards.stop_tensorboard, dlc.StopTensorboardRequest()),
        }[status]
        with pytest.raises(ClientException) as refusal:
            call(board_id, request)
        assert (refusal.value.status_code, refusal.value.code) == (400, "BadRequest")
        if status == "Running":
            boards.stop_tensorboard(board_id, dlc.StopTensorboardRequest())


def test_a_stop_while_it_is_created(tmp_path):
    with Emulator(tmp_path, dwell=600) as pai:
        boards = client(pai, "dlc")
        board_id = create(boards, Uri="oss://some-bucket/x/")
        assert get(boards, board_id).status == "Creating"
        boards.stop_tensorboard(board_id, dlc.StopTensorboardRequest())
        wait(boards, board_id, "Stopped")


def test_lists_by_name_status_job_and_time(boards, logs, job_id):
    mark = uuid.uuid4().hex
    ids = [create(boards, DisplayName=f"{mark}-{number}", Uri=uri(logs, "tb/")) for number in range(2)]
    ids.append(create(boards, DisplayName=f"{mark}-2", JobId=job_id, TensorboardSpec={"EcsType": "ecs.g6.large"}))
    for board_id in ids:
        wait(boards, board_id, "Running")

    def listed(**query):
        body = boards.list_tensorboards(dlc.ListTensorboardsRequest(display_name=mark.upper(), **query)).body
        return [board.tensorboard_id for board in body.tensorboards], body.total_count

    assert listed() == (ids[::-1], 3)
    assert listed(sort_by="DisplayName", order="asc", page_size=1, page_number=2) == ([ids[1]], 3)
    assert listed(job_id=job_id, payment_type="Postpaid", status="Running", verbose=True) == ([ids[2]], 1)
    assert listed(payment_type="Free", tensorboard_id=ids[0]) == ([ids[0]], 1)
    assert listed(status="Stopped") == ([], 0)
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert listed(start_time=later, end_time=later) == ([], 0)
    with pytest.raises(ClientException, match="SortBy must be one of"):
        listed(sort_by="Color")
    for board_id in ids:
        boards.delete_tensorboard(board_id, dlc.DeleteTensorboardRequest())


def test_answers_have_only_fields_of_the_sdks_model(pai, boards, logs):
    sources = [{"DirectoryName": "a", "Uri": uri(logs, "tb/"), "SourceType": "datasource", "DataSourceType": "OSS"}]
    board_id = create(boards, TensorboardDataSources=sources, TensorboardSpec={"EcsType": "ecs.g6.large"})
    wait(boards, board_id, "Running")
    answer = pai.call(lambda: pai.services.tensorboards.get(board_id))
    assert not unknown_fields(answer, dlc.Tensorboard().from_map(answer).to_map())
    boards.delete_tensorboard(board_id, dlc.DeleteTensorboardRequest())


def test_runs_no_longer_than_it_may(tmp_path):
    with Emulator(tmp_path, dwell=0.01, minute=0.1) as pai:
        boards = client(pai, "dlc")
        oss_bucket(pai, "some-bucket").create_bucket()
        board_id = create(boards, Uri="oss://some-bucket/x/", MaxRunningTimeMinutes=2)
        board = wait(boards, board_id, "Stopped")
    assert board.reason_code == "MaxRunningTimeExceeded"


def test_ends_with_the_emulator_and_the_next_one_knows_it(tmp_path):
    with Emulator(tmp_path, dwell=0.01) as pai:
        boards = client(pai, "dlc")
        oss_bucket(pai, "some-bucket").create_bucket()
        board_id = create(boards, DisplayName="kept", Uri="oss://some-bucket/x/")
        url = wait(boards, board_id, "Running").tensorboard_url
    assert not answers(url)
    with Emulator(tmp_path, dwell=0.01) as pai:
        boards = client(pai, "dlc")
        board = get(boards, board_id)
        assert (board.status, board.reason_code, board.display_name) == ("Stopped", "EmulatorRestarted", "kept")
        boards.start_tensorboard(board_id, dlc.StartTensorboardRequest())
        assert answers(wait(boards, board_id, "Running").tensorboard_url)


def test_ends_with_a_killed_emulator(tmp_path):
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--data", str(tmp_path), "--dwell", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        remote = SimpleNamespace(endpoints=SimpleNamespace(**json.loads(server.stdout.readline())))
        boards = client(remote, "dlc")
        oss_bucket(remote, "some-bucket").create_bucket()
        board_id = create(boards, Uri="oss://some-bucket/x/")
        url = wait(boards, board_id, "Running").tensorboard_url
        server.kill()
    until(lambda: answers(url), lambda answer: not answer)
    with Emulator(tmp_path) as pai:
        assert get(client(pai, "dlc"), board_id).status == "Stopped"
        assert not (tmp_path / "dlc" / board_id).exists()
