from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airflow_provider_pai.emulator import Emulator
from tests.emulator.serving import Eas, calling


@pytest.fixture
def eas(pai):
    eas = Eas(pai)
    yield eas
    eas.clean_up()


@pytest.fixture
def one(eas):
    """One service and a function that calls it."""
    service = eas.describe(eas.create(eas.config("one", instance=2)))
    with calling(service.internet_endpoint, service.access_token) as call:
        yield call


def versions(call, count):
    return Counter(json.loads(call().data)["version"] for _ in range(count))


def test_newcomers_take_no_group_traffic_but_serve_on_their_own_endpoint(eas):
    first, second, group = eas.group_pair()
    with calling(group.internet_endpoint, group.access_token) as call:
        assert call().status == 503
        eas.release(first, traffic_state="grouping")
        assert versions(call, 20) == {"a": 20}
    candidate = eas.describe(second)
    assert (candidate.traffic_state, candidate.weight) == ("standalone", 0)
    with calling(candidate.internet_endpoint, candidate.access_token) as call:
        assert versions(call, 3) == {"b": 3}


def test_weights_are_exact(eas):
    first, second, group = eas.group_pair()
    eas.release(second, traffic_state="grouping", weight=10)
    message = eas.release(first, traffic_state="grouping", weight=90)
    assert message == (
        f"Releasing service [{first}] in region [{eas.region}] with weight [90], service status: [Running]"
    )
    with calling(group.internet_endpoint, group.access_token) as call:
        assert versions(call, 20) == {"a": 10, "b": 10}, "auto mode splits by instances"
        eas.traffic_mode(group.name, "customized")
        assert versions(call, 1000) == {"a": 900, "b": 100}
        eas.release(first, weight=0)
        assert versions(call, 20) == {"b": 20}
        eas.release(second, traffic_state="standalone")
        assert call().status == 503
    with calling(eas.describe(second).internet_endpoint, eas.describe(second).access_token) as call:
        assert versions(call, 2) == {"b": 2}


def test_a_bad_model_fails_by_every_endpoint_and_is_counted(pai, eas):
    first, second, group = eas.group_pair()
    for name in (first, second):
        eas.release(name, traffic_state="grouping")
    pai.account.faults.add(member=second, status=500, code="InternalError")
    with calling(group.internet_endpoint, group.access_token) as call:
        assert Counter(call().status for _ in range(20)) == {200: 10, 500: 10}
    with calling(eas.describe(second).internet_endpoint, eas.describe(second).access_token) as call:
        assert call().status == 500
    counts = pai.call(lambda: pai.services.eas.services[second].series.window(int(time.time()) - 60, 120))
    assert (counts.requests, counts.classes[5]) == (11, 11)


def test_a_new_member_may_take_traffic_at_once(eas, world):
    world(eas_member_traffic="grouping")
    member = eas.describe(eas.create(eas.config("member", group=eas.name("g"))))
    assert (member.traffic_state, member.weight) == ("grouping", 100)
    alone = eas.describe(eas.create(eas.config("alone"), wait=False))
    assert (alone.traffic_state, alone.weight) == ("standalone", 0)


def test_a_weight_of_0_may_be_served_a_little(eas, world):
    first, second, group = eas.group_pair()
    eas.release(first, traffic_state="grouping", weight=99)
    eas.release(second, traffic_state="grouping", weight=0)
    eas.traffic_mode(group.name, "customized")
    with calling(group.internet_endpoint, group.access_token) as call:
        assert versions(call, 100) == {"a": 100}
        world(eas_weight_zero="little")
        assert versions(call, 100) == {"a": 99, "b": 1}
        eas.release(second, traffic_state="standalone")
        assert versions(call, 100) == {"a": 100}


@pytest.mark.parametrize(("position", "weight"), [("kept", 40), ("lost", 0)])
def test_a_weight_may_be_lost_while_a_member_is_standalone(eas, world, position, weight):
    world(eas_weight_standalone=position)
    member = eas.create(eas.config("member", group=eas.name("g")), wait=False)
    eas.release(member, traffic_state="standalone", weight=40)
    assert eas.describe(member).weight == weight
    eas.release(member, traffic_state="grouping", weight=40)
    assert eas.describe(member).weight == 40
    eas.release(member, traffic_state="standalone")
    assert eas.describe(member).weight == weight


def test_auto_mode_follows_the_number_of_instances(eas):
    first, second, group = eas.group_pair()
    eas.update(first, {"metadata": {"instance": 3}})
    eas.wait(first)
    for name in (first, second):
        eas.release(name, traffic_state="grouping")
    with calling(group.internet_endpoint, group.access_token) as call:
        assert versions(call, 40) == {"a": 30, "b": 10}


def test_stopping_a_member_sends_its_traffic_to_the_others(eas):
    first, second, group = eas.group_pair()
    eas.traffic_mode(group.name, "customized")
    for name in (first, second):
        eas.release(name, traffic_state="grouping", weight=50)
    eas.client.stop_service(eas.region, second)
    with calling(group.internet_endpoint, group.access_token) as call:
        assert versions(call, 10) == {"a": 10}


def test_the_token_is_checked(eas):
    first, _, group = eas.group_pair()
    service = eas.describe(first)
    for url, token in ((service.internet_endpoint, group.access_token), (group.internet_endpoint, "no")):
        with calling(url, token) as call:
            response = call()
            assert response.status == 401
            assert json.loads(response.data) == {"code": "Unauthorized", "message": "Invalid token"}
    with calling(service.internet_endpoint, f"Bearer {service.access_token}") as call:
        assert call().status == 200
    with calling(f"{eas.pai.endpoints.eas_gateway}/api/predict/nobody", "x") as call:
        assert call().status == 404
    with calling(f"{eas.pai.endpoints.eas_gateway}/api/predict/{first}", service.access_token) as call:
        assert call().status == 404, "a member's endpoint names its group"


def test_a_token_of_the_service_json_is_used(eas):
    service = eas.describe(eas.create({**eas.config("token"), "token": "my-own"}))
    assert service.access_token == "my-own"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_method_path_query_and_headers_reach_the_instance(one, method):
    response = one("/a%20b/c?x=1&y=%2F", method, b"{}", {"X-Own": "1", "Connection": "X-Gone", "X-Gone": "1"})
    seen = json.loads(response.data)
    assert (seen["path"], seen["method"]) == ("/a%20b/c?x=1&y=%2F", method)
    assert seen["headers"]["x-own"] == "1"
    assert "x-gone" not in seen["headers"]
    assert "user-agent" not in seen["headers"]


def test_statuses_headers_and_bodies_come_back(one):
    assert one("/status/418").status == 418
    response = one("/echo", "POST", b"x" * 3_000_000)
    assert response.headers["X-Body"] == "3000000"
    assert response.data == b"x" * 3_000_000
    assert response.headers.get_all("X-Multi") == ["a", "b"]
    assert response.headers.get_all("Content-Length") == ["3000000"]
    assert one("/", "HEAD").data == b""


def test_streams_pass_in_both_directions(one):
    assert one("/stream").data == b"onetwothree"
    response = one("/echo", "POST", iter([b"ab", b"cd" * 100_000]), {"Transfer-Encoding": "chunked"})
    assert response.data == b"ab" + b"cd" * 100_000


def instances(eas, name):
    """Look at the instances inside the emulator."""
    return eas.pai.call(lambda: list(eas.pai.services.eas.services[name].fleet.instances))


def test_an_answer_that_breaks_off_is_cut_not_ended_and_nobody_reads_a_traceback(eas, caplog):
    service = eas.describe(eas.create(eas.config("half")))
    with (
        calling(service.internet_endpoint, service.access_token) as call,
        pytest.raises((http.client.IncompleteRead, ConnectionError)),
    ):
        call("/half")
    assert "Exception in ASGI application" not in caplog.text


def test_a_client_that_leaves_frees_the_instance(eas):
    name = eas.create(eas.config("leave"))
    service = eas.describe(name)
    url = urlsplit(service.internet_endpoint)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    connection.request("GET", url.path + "/endless", headers={"Authorization": service.access_token})
    response = connection.getresponse()
    assert response.read(5000) == b"x" * 5000
    assert instances(eas, name)[0].in_flight == 1
    response.close()
    connection.close()
    deadline = time.monotonic() + 5
    while instances(eas, name)[0].in_flight:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_crash_of_two_costs_only_the_requests_it_held(eas):
    service = eas.describe(eas.create(eas.config("two", instance=2)))
    statuses = []

    def run(count):
        while count > 0:
            with calling(service.internet_endpoint, service.access_token) as call:
                try:
                    while count > 0:
                        count -= 1
                        statuses.append(call("/slow?0.002", "POST", b"x").status)
                except (http.client.HTTPException, ConnectionError):
                    statuses.append(502)  # the answer had begun

    threads = [threading.Thread(target=run, args=(100,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    with calling(service.internet_endpoint, service.access_token) as call:
        assert call("/crash", "POST", b"x").status == 502
    for thread in threads:
        thread.join()
    counted = Counter(statuses)
    assert counted.keys() <= {200, 502}
    assert counted[502] <= 4
    assert counted.total() == 400


def test_stop_drains_requests_in_flight(eas):
    name = eas.create(eas.config("drain"))
    service = eas.describe(name)
    answers = []

    def slow():
        with calling(service.internet_endpoint, service.access_token) as call:
            answers.append(call("/slow?0.3").status)

    thread = threading.Thread(target=slow)
    thread.start()
    time.sleep(0.1)
    eas.client.stop_service(eas.region, name)
    with calling(service.internet_endpoint, service.access_token) as call:
        assert call().status == 503
    thread.join()
    assert answers == [200]
    eas.wait(name, "Stopped")


def test_without_draining_requests_in_flight_break_off_and_weights_come_late(tmp_path: Path):
    with Emulator(tmp_path, dwell=0.01, grace=0.2, drain=False, weight_lag=0.5) as pai:
        eas = Eas(pai)
        name = eas.create(eas.config("cut", group=eas.name("g")))
        service = eas.describe(name)
        group = eas.client.describe_group(eas.region, eas.name("g")).body
        eas.release(name, traffic_state="grouping")
        assert eas.describe(name).traffic_state == "grouping"
        with calling(group.internet_endpoint, group.access_token) as call:
            assert call().status == 503
            time.sleep(0.6)
            assert call().status == 200
        statuses = []

        def slow():
            with calling(service.internet_endpoint, service.access_token) as call:
                statuses.append(call("/slow?3").status)

        thread = threading.Thread(target=slow)
        thread.start()
        time.sleep(0.2)
        eas.client.stop_service(eas.region, name)
        thread.join()
        assert statuses == [502]


def test_the_gateway_learns_late_of_a_service_that_came_up(tmp_path):
    with Emulator(tmp_path, dwell=0.01, grace=0.2, gateway_lag=0.6) as pai:
        eas = Eas(pai)
        alone = eas.wait(eas.create(eas.config("alone"), wait=False), "Running")
        with calling(alone.internet_endpoint, alone.access_token) as call:
            assert answers_until_200(call) == [(404, b""), (503, b"no healthy upstream")]
            eas.update(alone.service_name, {"metadata": {"cpu": 2}})
            eas.wait(alone.service_name, "Running")
            assert answers_until_200(call) == [], "a new version takes the place of one that is known"


def test_the_gateway_of_a_group_learns_late_of_a_member_that_starts(tmp_path):
    with Emulator(tmp_path, dwell=0.01, grace=0.2, gateway_lag=0) as pai:
        eas = Eas(pai)
        member = eas.create(eas.config("member", group=eas.name("g")))
        eas.release(member, traffic_state="grouping")
        eas.client.stop_service(eas.region, member)
        eas.wait(member, "Stopped")
        pai.account.change_settings({"gateway_lag": 0.6})
        eas.client.start_service(eas.region, member)
        eas.wait(member, "Running")
        group = eas.client.describe_group(eas.region, eas.name("g")).body
        with calling(group.internet_endpoint, group.access_token) as call:
            assert answers_until_200(call) == [(404, b""), (503, b"no healthy upstream")]


def answers_until_200(call):
    """Return the different answers before the first good one, in order."""
    seen = []
    while (answer := call()).status != 200:
        if (answer.status, answer.data) not in seen:
            seen.append((answer.status, answer.data))
        time.sleep(0.02)
    return seen
