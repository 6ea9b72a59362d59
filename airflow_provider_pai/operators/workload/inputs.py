"""Inputs of a job on OSS: listed and pinned before its submit, read again after its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_pai.artifact import DATASET_NAME, INPUTS_FOLDER, DatasetRef, ModelArtifact
from airflow_provider_pai.exceptions import PaiArtifactError, PaiError
from airflow_provider_pai.hooks.oss.datasets import describe_dataset, read_again
from airflow_provider_pai.hooks.oss.home import pins_folder
from airflow_provider_pai.hooks.oss.pins import Pin
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.operators.meant import MeantData


def described_inputs(
    oss: OssHook, meant: Mapping[str, MeantData], folder: OssUri | None, *, refuses: bool
) -> tuple[DatasetRef, ...]:
    """Return what each input holds at this moment.

    :param folder: where the lists of their objects are kept for the job's end; None: nowhere.
    :param refuses: refuse what is not what the task before returned any more; else the log says so.
    :raises PaiNotFoundError: an input without objects.
    :raises PaiArtifactError: one was changed.
    """
    return tuple(_described(oss, name, data, folder and _list(folder, name), refuses) for name, data in meant.items())


def _described(oss: OssHook, name: str, data: MeantData, keep: OssUri | None, refuses: bool) -> DatasetRef:
    ref = replace(describe_dataset(oss, name, data.uri, keep), version=data.version)
    try:
        data.check(oss, ref)
    except PaiArtifactError as error:
        if refuses:
            raise
        oss.log.warning("%s", error)
    return ref


def to_be_pinned(oss: OssHook, refs: tuple[DatasetRef, ...], output: OssUri | None) -> tuple[DatasetRef, ...]:
    """Return inputs with the addresses of their copies, which need not be there yet."""
    pins = pins_folder(oss.connection, output)
    assert pins is not None
    return tuple(replace(ref, pinned=str(Pin.of(pins, ref.digest).data)) for ref in refs)


def pin_inputs(
    oss: OssHook, refs: tuple[DatasetRef, ...], folder: OssUri, *, version: str, artifact: OssUri | None
) -> None:
    """Copy the inputs that are to be pinned, unless they are.

    :param folder: of their lists.
    :raises PaiTransferError: one was changed since it was listed.
    """
    uses = {"version": version, "artifact": str(artifact or ""), "record": str(folder.join(DATASET_NAME))}
    for ref in refs:
        pin = Pin(OssUri.parse(ref.pinned.rstrip("/")).parent)
        pin.fill(oss, ref, _list(folder, ref.name), **uses)


def inputs_after(
    oss: OssHook, artifact: ModelArtifact, folder: OssUri, *, beside: bool = True
) -> tuple[DatasetRef, ...]:
    """Return an artifact's inputs with what became of them, and put the lists beside the manifest that is to come.

    Whatever can't be read or written is told, and fails no job that is paid for.

    :param folder: of the lists.
    :param beside: false: there will be no manifest, and the lists stay where they are.
    """
    manifest = OssUri.parse(artifact.uri).join(INPUTS_FOLDER)
    refs = tuple(read_again(oss, ref, _list(folder, ref.name)) for ref in artifact.inputs)
    for ref in refs:
        assert ref.change is not None
        tell = oss.log.warning if ref.change.is_harmful or ref.change.unread else oss.log.info
        tell("Input %s, %s, since the submit: %s", ref.name, ref.pinned or ref.uri, ref.change)
        if not beside:
            continue
        try:
            oss.copy(_list(folder, ref.name), manifest.join(f"{ref.name}.jsonl"))
        except PaiError as error:
            oss.log.warning("The list of input %s is not beside the manifest: %s", ref.name, error)
    return refs


def _list(folder: OssUri, name: str) -> OssUri:
    """Return where the list of an input's objects lies."""
    return folder.join("inputs", f"{name}.jsonl")
