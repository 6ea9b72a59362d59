"""The cause that EAS's lists tell of instances that do not come up, in a few words."""

from __future__ import annotations

import pytest

from airflow_provider_pai.hooks.eas.diagnosis import Down, diagnosis

CONTAINER = {"image": "registry/model:1", "port": 9000}
CONFIG = {"metadata": {"memory": 200}, "containers": [CONTAINER]}
RUNS, WAITS = {"Status": "Running", "ReadyProcesses": 0}, {"Status": "Pending"}


@pytest.mark.parametrize(
    ("instances", "containers", "events", "cause"),
    [
        ([{"Status": "Failed", "Reason": "ImagePullBackOff"}], [], [], "image registry/model:1 can't be pulled"),
        ([WAITS], [{"CurrentReaon": "ErrImagePull"}], [], "image registry/model:1 can't be pulled"),
        ([RUNS | {"Reason": "OOMKilled"}], [], [], "killed for memory: an instance has 200 MB"),
        ([RUNS], [{"LastReason": "OOMKilled"}], [], "killed for memory: an instance has 200 MB"),
        ([RUNS | {"LastState": [{"exitCode": 7}]}], [], [], "its program ended with exit code 7"),
        ([RUNS | {"LastState": [{"terminated": {"exit_code": 7}}]}], [], [], "its program ended with exit code 7"),
        ([RUNS], [{"LastReason": "Error"}], [], "its program ended with an error"),
        ([RUNS], [{"LastReason": "Completed"}], [], "its program ended, as no server does"),
        ([RUNS], [{"CurrentReaon": "", "LastReason": None}], [], "nothing listens on port 9000"),
        ([WAITS], [], [], "no machine has taken its instances yet"),
        ([WAITS, RUNS], [], [], "nothing listens on port 9000"),
        ([], [], [{"Reason": "InstanceCrashed", "Message": "exit code: 3"}], "its program ended with exit code 3"),
        ([], [], [{"Reason": "x", "Message": "y"}], ""),
        ([], [], [], ""),
    ],
)
def test_the_cause(instances, containers, events, cause):
    assert diagnosis(CONFIG, instances, containers, events) == cause


@pytest.mark.parametrize(
    ("container", "cause"),
    [
        ({}, "nothing listens on port 8000"),
        ({"health_check": {"http_get": {"path": "/live", "port": 81}}}, "no good answer to GET /live on port 81"),
        ({"port": 82, "startup_check": {"http_get": {}}}, "no good answer to GET / on port 82"),
        ({"startup_check": {"tcp_socket": {"port": 83}}}, "nothing listens on port 83"),
    ],
)
def test_the_port_that_is_asked(container, cause):
    assert diagnosis({"containers": [container]}, [RUNS], [], []) == cause
    assert diagnosis({}, [RUNS], [], []) == "nothing listens on port 8000"


def test_what_is_known_stands_behind_and_below_a_text():
    assert Down("no port", "last line").below("It was late") == "It was late: no port\nlast line"
    assert Down().below("It was late") == "It was late"
    assert str(Down("", "last line")) == "last line"
