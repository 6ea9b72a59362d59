from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_pai.emulator import Emulator
from tests.emulator.pai_sdk import client


@pytest.fixture(scope="module")
def jobs(pai: Emulator) -> Any:
    """The SDK's client of DLC."""
    return client(pai, "dlc")
