"""Anchors of the ledger on OSS: heads of its chain, as proof against whoever changes the database.

An object's name is the whole anchor, `000000000017-<hash of row 17>.json`, so that nobody who may write there can
change one: to take it away asks for `oss:DeleteObject`. OSS's own clock tells when it was kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.home import configured_home, ledger_folder
from airflow_provider_pai.ledger.chain import Anchor
from airflow_provider_pai.ledger.events import Row
from airflow_provider_pai.uri import OssUri
from airflow_provider_pai.versions import utc_text

_NAME = re.compile(r"(\d{12,})-([0-9a-f]{64})\.json")


class Anchors:
    """The anchors of one ledger.

    :param folder: where they lie.
    """

    def __init__(self, oss: OssHook, folder: OssUri) -> None:
        self._oss = oss
        self.folder = folder.folder

    @classmethod
    def of(cls, hook: PaiHook, conn_id: str | None) -> Anchors | None:
        """Return those of a connection's ledger; None: it names no `state_uri`.

        :param conn_id: the ledger's connection; None: its file.
        """
        home = configured_home(hook.connection)
        if home is None:
            return None
        folder = ledger_folder(home, hook.connection.deployment, conn_id).join("anchors")
        return cls(hook.sibling(OssHook), folder)

    def keep(self, row: Row) -> None:
        """Keep a row's number and hash; where that fails the log tells, since nothing that is paid for may."""
        try:
            content = {"seq": row.seq, "hash": row.hash, "recorded_at": row.recorded_at}
            self._oss.put_once(self.folder.join(f"{row.seq:012d}-{row.hash}.json"), json.dumps(content))
        except PaiError as error:
            self._oss.log.warning("Row %d of the ledger has no anchor in %s: %s", row.seq, self.folder, error)

    def kept(self) -> Iterator[Anchor]:
        """Yield all that is kept, in the order of the rows."""
        for info in self._oss.list_objects(self.folder):
            if name := _NAME.fullmatch(info.uri.key.removeprefix(self.folder.key)):
                yield Anchor(int(name[1]), name[2], utc_text(info.last_modified))
