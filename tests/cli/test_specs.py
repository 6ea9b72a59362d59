"""`airflow pai specs`, over the instance types of an emulated account."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.cli.specs import offers
from airflow_provider_pai.costs import Prices
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


def specs(capsys, *options):
    """Return what a command lists as JSON, and what it says beside it."""
    main(["specs", "--json", *options])
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_the_smallest_that_has_all_comes_first_with_its_price_on_each_service(capsys):
    main(["specs", "--gpu", "nvidia t4", "--cpu", "4", "--memory", "15"])
    heads, *rows = (line.split("  ") for line in capsys.readouterr().out.splitlines())
    cells = [[cell.strip() for cell in row if cell] for row in (heads, *rows)]
    assert cells[0] == ["instance type", "vCPU", "GiB", "GPU", "service", "CNY an hour"]
    assert cells[1:3] == [
        ["ecs.gn6i-c4g1.xlarge", "4", "15", "1 x T4 16 GiB", "dlc", "-"],
        ["ecs.gn6i-c4g1.xlarge", "4", "15", "1 x T4 16 GiB", "dsw", "9.00"],
    ]
    assert [row[0] for row in cells[3:]] == ["ecs.gn6i-c24g1.6xlarge"] * 2


def test_options_leave_out_what_is_too_small_too_dear_or_of_no_known_price(capsys, pai, monkeypatch):
    listed, said = specs(capsys, "--cpu", "8", "--memory", "64", "--max-price", "4")
    assert [(spec["instance_type"], spec["service"]) for spec in listed["specs"]] == [("ecs.g6.4xlarge", "dsw")]
    assert said == "6 more fit, of which nobody tells the price → `prices` of the connection\n"
    priced = airflow_connection(pai, prices="currency=CNY dlc/ecs.g6.4xlarge=3.5")
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(priced))
    both, _ = specs(capsys, "--cpu", "8", "--memory", "64", "--max-price", "4")
    assert [(spec["service"], spec["price"]) for spec in both["specs"]] == [("dlc", 3.5), ("dsw", 4.0)]


def test_where_none_fits_it_says_which_gpus_there_are(capsys):
    listed, said = specs(capsys, "--gpu", "H100")
    assert (listed["specs"], said) == ([], "None fits. GPUs that can be had: A10, A100, T4, V100\n")


def test_a_limit_that_is_no_number_is_refused():
    with pytest.raises(SystemExit, match=r"--max-price: 'dear' is not allowed"):
        main(["specs", "--max-price", "dear"])


def test_what_is_sold_out_is_not_offered_and_what_is_not_told_is_nothing():
    items = [{"InstanceType": "ecs.a.b", "IsAvailable": False}, {"InstanceType": "ecs.c.d", "Cpu": 2, "Memory": "x"}]
    (spec,) = offers("dlc", items, Prices())
    assert (spec.instance_type, spec.cpu, spec.memory, spec.gpus, spec.price) == ("ecs.c.d", 2, 0, 0, None)
