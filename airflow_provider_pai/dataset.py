"""Dataset that a job made: what travels through XCom of it, and how it becomes the input of another job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from airflow_provider_pai.artifact import IN_RECORD, Artifact, DatasetRef, Json


@dataclass(frozen=True)
class Column:
    """A column of a table; its type is Arrow's in a Parquet file, and of a CSV file one that its first rows fit."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Files that are named alike, and the columns of the first of them."""

    files: str
    """Their keys below the dataset, `*` for numbers and hashes: `part-*.parquet`."""
    count: int = 1
    format: str
    """`csv` or `parquet`."""
    columns: tuple[Column, ...] = ()
    note: str = ""
    """Why nobody knows the columns; empty: they are known."""


@dataclass(frozen=True, kw_only=True)
class DatasetArtifact(Artifact):
    """A dataset that a job made, with the columns of its tables; any `inputs` of an operator takes it.

    Its files have no manifest beside them: equal data has an equal digest, whichever run made it.
    """

    tables: tuple[Table, ...] = ()

    long_fields: ClassVar[Mapping[str, Any]] = {**Artifact.long_fields, "tables": []}
    kept_whole: ClassVar[str] = IN_RECORD

    @classmethod
    def of(cls, made: Artifact, **facts: Any) -> DatasetArtifact:
        """Return what is known of an artifact, as that of a dataset.

        :param facts: further fields.
        """
        return cls(**{**{each.name: getattr(made, each.name) for each in fields(Artifact)}, **facts})

    def ref(self, name: str) -> DatasetRef:
        """Return it as the input of a name."""
        return DatasetRef(
            name=name, uri=self.uri, digest=self.digest, size=self.size, files=self.files, version=self.version
        )

    @classmethod
    def _parts(cls, value: Mapping[str, Any]) -> Json:
        return {**super()._parts(value), "tables": tuple(_table(each) for each in value.get("tables") or ())}


def _table(value: Mapping[str, Any]) -> Table:
    columns = tuple(Column(name=each["name"], type=each["type"]) for each in value.get("columns") or ())
    known = {each.name: value[each.name] for each in fields(Table) if each.name in value}
    return Table(**{**known, "columns": columns})
