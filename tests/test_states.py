import pytest

from airflow_provider_pai import states as tables
from airflow_provider_pai.states import DLC_JOB, DSW_INSTANCE, DSW_RUN, EAS_SERVICE, States, Verdict

# The enumerations in the SDKs' own docstrings.
DOCUMENTED = {
    DLC_JOB: "Creating Queuing Bidding EnvPreparing SanityChecking Running Restarting Stopping SucceededReserving "
    "FailedReserving Succeeded Failed Stopped",
    DSW_INSTANCE: "Creating ResourceAllocating Queuing EnvPreparing Starting Running Stopping Stopped Updating Saving "
    "Saved SaveFailed Recovering Deleting Failed",
    EAS_SERVICE: "Creating Stopped Failed Complete Cloning Stopping Updating Waiting HotUpdate Committing Starting "
    "DeleteFailed Running Developing Scaling Deleted Pending Deleting",
}


@pytest.mark.parametrize("states", DOCUMENTED, ids=lambda states: states.kind)
def test_every_documented_status_has_exactly_one_meaning(states):
    documented = set(DOCUMENTED[states].split())
    assert states.active | states.succeeded | states.failed == documented
    assert len(states.active) + len(states.succeeded) + len(states.failed) == len(documented)
    assert states.stopping <= states.active


@pytest.mark.parametrize(
    ("states", "status", "verdict"),
    [
        (DLC_JOB, "Running", Verdict.ACTIVE),
        (DLC_JOB, "SucceededReserving", Verdict.SUCCEEDED),
        (DLC_JOB, "Stopped", Verdict.FAILED),
        (DLC_JOB, "SubmitFailed", Verdict.UNKNOWN),
        (DSW_INSTANCE, "Running", Verdict.SUCCEEDED),
        (DSW_RUN, "Running", Verdict.ACTIVE),
        (DSW_RUN, "RunFailed", Verdict.FAILED),
        (EAS_SERVICE, "Waiting", Verdict.ACTIVE),
    ],
)
def test_judge(states, status, verdict):
    assert states.judge(status) is verdict
    assert states.is_final(status) is (verdict in (Verdict.SUCCEEDED, Verdict.FAILED))


ROWS = {name: row for name, row in vars(tables).items() if isinstance(row, States)}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_further_questions_are_asked_of_statuses_that_have_a_meaning(row):
    assert not row.active & row.succeeded
    assert not (row.active | row.succeeded) & row.failed
    assert row.starting | row.stopping <= row.active
    assert not row.starting & row.stopping
    assert row.deleting <= row.stopping
    assert row.stopped <= row.failed
    assert row.resting <= row.failed
    assert row.broken | row.stopped == row.failed


@pytest.mark.parametrize(
    ("row", "broken"),
    [
        (DLC_JOB, {"Failed", "FailedReserving"}),
        (tables.DLC_TENSORBOARD, {"Failed"}),
        (DSW_INSTANCE, {"Failed"}),
        (EAS_SERVICE, {"Failed", "Deleted", "DeleteFailed"}),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_broken_is_what_no_stop_leads_to(row, broken):
    assert row.broken == broken
