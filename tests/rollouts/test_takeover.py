from dataclasses import replace

import pytest

from airflow_provider_pai.canary.group import Member, Phase, rejection
from airflow_provider_pai.exceptions import PaiApiError, RolloutStoppedError
from airflow_provider_pai.rollouts.takeover import Takeover
from tests.fake import FakeEas, goal

GOOD, BAD = goal("20261120T1800Z-aaaaaaaa"), goal("20261121T1800Z-bbbbbbbb")


@pytest.fixture
def eas():
    """A group in which a bad version has taken over from a good one, which was stopped and is up again."""
    eas = FakeEas()
    assert eas.run(GOOD).outcome == "deployed"
    assert eas.run(BAD).outcome == "promoted"
    eas.members[GOOD.service] = replace(eas.members[GOOD.service], status="Running", running=1)
    return eas


def takeover(eas, service=GOOD.service, replaced=BAD.service):
    return Takeover(hook=eas, group="digits", service=service, replaced=replaced, log=eas.log, clock=eas.time.clock)


def test_all_traffic_moves_and_nobody_waits_for_an_answer_meanwhile(eas):
    takeover(eas).move()
    assert eas.serving == {GOOD.service: 1}
    assert not eas.members[BAD.service].grouping
    assert eas.dropped == 0


def test_weights_that_are_lost_outside_the_traffic_are_set_when_they_count(eas):
    eas.loses_weights = True
    eas.members[GOOD.service] = replace(eas.members[GOOD.service], weight=0)
    takeover(eas).move()
    assert (eas.serving, eas.dropped) == ({GOOD.service: 1}, 0)


def test_a_second_process_finds_it_done(eas):
    takeover(eas).move()
    calls = len(eas.calls)
    takeover(eas).move()
    assert len(eas.calls) == calls


def test_a_group_that_nobody_serves_gets_its_service(eas):
    bad = eas.members.pop(BAD.service)
    takeover(eas, replaced="").move()
    assert eas.serving == {GOOD.service: 1}
    assert bad.name not in eas.serving


def test_a_third_service_in_the_traffic_is_somebody_elses_work(eas):
    eas.members["theirs"] = Member(name="theirs", status="Running", running=1, total=1, weight=50, grouping=True)
    with pytest.raises(RolloutStoppedError, match="theirs carries traffic of group digits, too"):
        takeover(eas).move()


def test_weights_that_eas_does_not_take_are_not_set_for_ever(eas):
    eas.release = lambda name, *, weight, grouping: None
    with pytest.raises(RolloutStoppedError, match="does not take the weights"):
        takeover(eas).move()


@pytest.mark.parametrize("step", ["move", "settle"])
def test_a_service_that_has_gone_takes_nothing_over(eas, step):
    del eas.members[GOOD.service]
    with pytest.raises(RolloutStoppedError, match=f"{GOOD.service} is no longer in group digits"):
        getattr(takeover(eas), step)(*([0, {}] if step == "settle" else []))


def test_who_was_bad_is_written_down_drained_and_stopped(eas):
    takeover(eas).move()
    before = eas.now
    assert takeover(eas).settle(30, {}).name == BAD.service
    assert eas.now - before >= 30
    bad, good = eas.members[BAD.service], eas.members[GOOD.service]
    assert bad.leaving or bad.stopped
    assert (bad.progress.phase, bad.progress.outcome) == (Phase.ROLLED_BACK, "rejected")
    entry = rejection(BAD.digest, BAD.task, BAD.cycle)
    assert entry in bad.progress.rejected
    assert entry in good.progress.rejected
    assert good.progress.phase is Phase.PROMOTED


def test_a_stop_that_fails_is_told_and_ends_nothing(eas, caplog):
    def stop(name):
        raise PaiApiError("eas", "StopService", "no", "Forbidden", 403)

    takeover(eas).move()
    eas.stop = stop
    takeover(eas).settle(0, {})
    assert f"{BAD.service} could not be stopped and may go on costing" in caplog.text
