"""Runs in which nothing has changed: no job of theirs; a person who clears one gets one."""

import pytest

from airflow_provider_pai.hooks.oss import OssHook


@pytest.mark.timeout(120)
def test_a_run_without_new_data_makes_no_job_and_a_clear_of_it_does(run, dlc, api):
    oss = dlc.sibling(OssHook)
    oss.create_bucket("reuse")
    oss.put("oss://reuse/data/rows.csv", "1")

    def model(one, tries=1):
        one.until("it has trained", lambda: trained(one) == ("success", tries), timeout=50)
        return api.xcom(one.dag_id, one.run_id, "train")

    def trained(one):
        task = one.task("train")
        return task["state"], task["try_number"]

    first = model(run("reuse"))
    second = run("reuse")
    assert model(second) == {**first, "reused_from": first["version"]}
    assert second.jobs("train") == []
    second.clear("train")
    cleared = model(second, tries=2)
    assert (cleared["reused_from"], cleared["uri"] != first["uri"]) == (None, True)
    assert second.job_status("train") == "Succeeded"
