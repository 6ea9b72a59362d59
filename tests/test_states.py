import pytest

from airflow_provider_pai.states import DLC_JOB, DSW_INSTANCE, DSW_RUN, EAS_SERVICE, Verdict

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
