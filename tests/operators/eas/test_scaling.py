import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.eas.scaling import check_autoscaler

QPS = [{"metricName": "qps", "threshold": 10}]
PLAIN = {"min": 1, "max": 4, "scaleStrategies": QPS}


def test_numbers_that_a_template_gave_as_text_are_read():
    strategies = [{"metricName": "qps", "threshold": "10", "service": "demo"}]
    behavior = {"scaleUp": {"stabilizationWindowSeconds": "5"}, "onZero": {"scaleUpActivationReplicas": "1"}}
    assert check_autoscaler({"min": "0", "max": "4", "scaleStrategies": strategies, "behavior": behavior}) == {
        "min": 0,
        "max": 4,
        "scaleStrategies": [{"metricName": "qps", "threshold": 10.0, "service": "demo"}],
        "behavior": {"scaleUp": {"stabilizationWindowSeconds": 5}, "onZero": {"scaleUpActivationReplicas": 1}},
    }


def test_no_behavior_is_sent_where_none_is_asked_for():
    assert "behavior" not in check_autoscaler({**PLAIN, "behavior": {}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minimum": 1}, "autoscaler: 'minimum' .* fields: min, max, scaleStrategies, behavior"),
        ({"min": -1}, r"autoscaler\['min'\]: -1 "),
        ({"min": True}, r"autoscaler\['min'\]: True "),
        ({"max": None}, r"autoscaler\['max'\]: None "),
        ({"max": 1}, r"autoscaler\['max'\]: 1 .* more than min, 1"),
        ({"scaleStrategies": []}, "scaleStrategies.*at least one"),
        ({"scaleStrategies": "qps"}, "scaleStrategies.*at least one"),
        ({"scaleStrategies": ["qps"]}, r"scaleStrategies'\]\[0\]: 'qps' .* an object"),
        ({"scaleStrategies": [{"threshold": 1}]}, r"\[0\]\['metricName'\]: None "),
        ({"scaleStrategies": [*QPS, {"metricName": "cpu", "threshold": 0}]}, r"\[1\]\['threshold'\]: 0 .* above 0"),
        ({"scaleStrategies": [{"metricName": "cpu", "threshold": "nan%"}]}, r"\['threshold'\]: 'nan%' "),
        ({"scaleStrategies": [{"metricName": "cpu", "limit": 1}]}, r"\[0\]: 'limit' "),
        ({"behavior": {"scaleSideways": {}}}, r"behavior'\]: 'scaleSideways' "),
        ({"behavior": {"scaleUp": {"seconds": 1}}}, r"\['scaleUp'\]: 'seconds' "),
        ({"behavior": {"scaleUp": {"stabilizationWindowSeconds": "soon"}}}, "stabilizationWindowSeconds.*'soon' "),
    ],
)
def test_what_eas_would_not_take_is_refused_naming_its_place(changes, message):
    with pytest.raises(PaiConfigError, match=message):
        check_autoscaler({**PLAIN, **changes})
