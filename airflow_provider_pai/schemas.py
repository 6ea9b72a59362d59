"""Schema numbers of what outlives a process, and the one refusal of what a later version wrote.

A reader takes what it knows: a field more does no harm, and one less has a default. A number is raised where that is
not so: a field that an older reader must not pass over, or another meaning. `tests/upgrades` holds both.
"""

from typing import NamedTuple

from airflow_provider_pai.exceptions import PaiVersionError

SCHEMA_VERSION = "schema_version"
"""Under this name a record bears its number; a label has a key of its own, a ledger row another name."""


class Schema(NamedTuple):
    """A kind of record.

    :param number: of what this version writes, and the highest that it reads.
    """

    kind: str
    number: int

    def check(self, found: object) -> None:
        """Refuse the number of a later version.

        :param found: as the record has it; what is no number was not written by a later version.
        :raises PaiVersionError: it is higher than what is known here.
        """
        text = str(found)
        if text.isdecimal() and int(text) > self.number:
            raise PaiVersionError(self.kind, int(text), self.number)


TRIGGER = Schema("arguments of a trigger", 1)
LABELS = Schema("labels", 1)
ARTIFACT = Schema("an artifact", 1)
DEPLOYMENT = Schema("a deployment's XCom", 1)
LEDGER_ROW = Schema("a ledger row", 1)
LEASE = Schema("a group's lease", 1)
