from airflow_provider_pai.emulator.connection import connection_to

ACCOUNT = {"region": "r", "workspace_id": "1", "endpoint_url": "http://a", "oss_endpoint": "http://b"}
KEY = {"access_key_id": "id", "access_key_secret": "secret", "eas_gateway": "http://c"}


def test_it_leads_to_the_account_with_its_key_and_what_is_added():
    found = connection_to({**ACCOUNT, **KEY}, deployment="here", region="other")
    extra = {**ACCOUNT, "deployment": "here", "region": "other"}
    assert found == {"conn_type": "pai", "login": "id", "password": "secret", "extra": extra}
