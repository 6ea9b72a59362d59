import json

import pytest

from airflow_provider_pai.decorators import runner

CLUSTER = {"ps": ["p0"], "worker": ["w0", "w1"], "chief": ["c0"]}


@pytest.fixture(autouse=True)
def no_pod(monkeypatch):
    for name in ("RANK", "TF_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, 0),
        ({"RANK": "3"}, 3),
        ({"TF_CONFIG": ""}, 0),
        ({"TF_CONFIG": json.dumps({"cluster": CLUSTER})}, 0),
        *(
            ({"TF_CONFIG": json.dumps({"cluster": CLUSTER, "task": {"type": role, "index": index}})}, rank)
            for rank, (role, index) in enumerate([("chief", 0), ("worker", 0), ("worker", 1), ("ps", 0)])
        ),
        # An evaluator stands in no cluster, and must not lead.
        ({"TF_CONFIG": json.dumps({"cluster": CLUSTER, "task": {"type": "evaluator", "index": "1"}})}, 5),
    ],
)
def test_every_pod_has_a_rank_of_its_own_and_the_chief_leads(monkeypatch, environment, rank):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert runner.rank() == rank


@pytest.mark.parametrize("value", [None, 1, "ü", [1.5, {"a": True}]])
def test_json_goes_back_as_it_is(value):
    assert json.loads(runner.as_json(value)) == value


class Model:
    pass


@pytest.mark.parametrize(
    ("value", "kind"), [(Model(), f"{__name__}.Model"), ({1, 2}, "set"), (float("nan"), "float"), (b"x", "bytes")]
)
def test_what_is_no_json_is_refused_by_its_type(value, kind):
    with pytest.raises(TypeError, match=f"the function returned a {kind}, which is not JSON"):
        runner.as_json(value)


def test_an_error_keeps_type_message_and_traceback_and_tells_what_is_left_out_of_long_ones(monkeypatch):
    monkeypatch.setattr(runner, "MAX_TEXT", 100)
    try:
        raise LookupError("m" * 200)
    except LookupError as error:
        told = json.loads(runner.describe(error))
    half = "m" * 50
    assert (told["type"], told["message"]) == (
        "LookupError",
        f"{half}\n… 100 characters are left out here …\n{half}",
    )
    assert told["traceback"].startswith("Traceback (most recent call last)")
    assert told["traceback"].endswith(f"{half[1:]}\n")
    assert len(told["traceback"]) < 150
