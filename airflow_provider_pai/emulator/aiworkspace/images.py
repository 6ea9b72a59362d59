"""Images of AIWorkspace: official ones, and those that people add."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Sequence
from typing import NamedTuple

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.errors import ConflictError, InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.queries import choice, fuzzy, page
from airflow_provider_pai.emulator.types import Json

KIND = "image"
LABELS = frozenset(
    "system.chipType system.dsw.cudaVersion system.dsw.fromImageId system.dsw.fromInstanceId system.dsw.id "
    "system.dsw.os system.dsw.osVersion system.dsw.resourceType system.dsw.rootImageId system.dsw.stage "
    "system.dsw.tag system.dsw.type system.framework system.origin system.pythonVersion system.source "
    "system.supported.dlc system.supported.dsw".split()
)
"""Keys that AddImage and AddImageLabels take, as their pages list them."""
EXACT = "ExactMatchName"
_ID_CHARACTERS = string.ascii_letters + string.digits


class Official(NamedTuple):
    """One official image; which there are differs by region and changes, so these are made up after real names."""

    name: str
    framework: str
    python: str
    services: tuple[str, ...]
    created: str

    def describe(self, region: str) -> Json:
        """Return the image as ListImages has it."""
        labels = {
            "system.official": "true",
            "system.origin": "PAI",
            "system.chipType": "GPU" if "-gpu-" in self.name else "CPU",
            "system.framework": self.framework,
            "system.pythonVersion": self.python,
            **{f"system.supported.{service}": "true" for service in self.services},
        }
        return {
            "Accessibility": "PUBLIC",
            "Description": f"{self.framework}, Python {self.python}",
            "GmtCreateTime": self.created,
            "GmtModifiedTime": self.created,
            "ImageId": f"image-{re.sub('[^a-z0-9]', '', self.name)[:18]:0<18}",
            "ImageUri": f"dsw-registry-vpc.{region}.cr.aliyuncs.com/pai/{self.name}",
            "Labels": [{"Key": key, "Value": value} for key, value in labels.items()],
            "Name": self.name,
        }


OFFICIAL = tuple(
    Official(name, framework, python, tuple(services.split()), f"{day}T02:00:00.000Z")
    for name, framework, python, services, day in (
        ("pytorch:2.6.0-gpu-py311-cu124-ubuntu22.04", "PyTorch 2.6.0", "3.11", "dsw dlc", "2025-06-18"),
        ("pytorch:2.6.0-cpu-py311-ubuntu22.04", "PyTorch 2.6.0", "3.11", "dsw dlc", "2025-06-17"),
        ("modelscope:1.25.0-pytorch2.6.0-gpu-py310-cu124-ubuntu22.04", "PyTorch 2.6.0", "3.10", "dsw", "2025-05-06"),
        ("pytorch-training:2.3-gpu-py310-cu121-ubuntu22.04", "PyTorch 2.3.0", "3.10", "dlc", "2024-08-02"),
        ("tensorflow:2.14-gpu-py310-cu118-ubuntu22.04", "TensorFlow 2.14", "3.10", "dsw dlc", "2024-03-11"),
        ("tensorflow:2.14-cpu-py310-ubuntu22.04", "TensorFlow 2.14", "3.10", "dsw dlc", "2024-03-10"),
        ("xgboost:1.6.0-cpu-py38-ubuntu20.04", "XGBoost 1.6.0", "3.8", "dlc", "2023-02-20"),
    )
)


class Images:
    """The images that one account sees. Pages: AddImage, GetImage, ListImages, RemoveImage, AddImageLabels."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def add(self, request: Json) -> Json:
        """Add an image of a workspace that exists.

        :raises InvalidParameterError: a name or a label that the pages don't allow.
        :raises ConflictError: the id is taken; or the name, where the world has names once.
        """
        _check_name(request.get("Name"))
        if not request.get("ImageUri"):
            raise InvalidParameterError("ImageUri is required.")
        labels = _checked(request.get("Labels") or [])
        image_id = request.get("ImageId") or f"image-{''.join(secrets.choice(_ID_CHARACTERS) for _ in range(18))}"
        if not re.fullmatch(r"image-[A-Za-z0-9]{18}", image_id):
            raise InvalidParameterError(f"ImageId must be image- and 18 letters or digits, not {image_id!r}.")
        self._refuse_taken(image_id, request)
        moment = self.account.timestamp()
        document = {
            "Accessibility": "PUBLIC",
            **request,
            "ImageId": image_id,
            "Labels": labels,
            "GmtCreateTime": moment,
            "GmtModifiedTime": moment,
            "ParentUserId": self.account.settings.account_id,
            "UserId": self.account.settings.account_id,
        }
        self.account.store.put(KIND, image_id, document)
        return {"ImageId": image_id}

    def _refuse_taken(self, image_id: str, request: Json) -> None:
        own = list(self.account.store.all(KIND))
        same = [each for each in own if _key(each) == _key(request)] if self.account.world.image_names == "once" else []
        if same or any(each["ImageId"] == image_id for each in own):
            raise ConflictError(f"Image {request['Name']} exists.", "ImageAlreadyExists")

    def get(self, image_id: str, verbose: bool) -> Json:
        """Return one image, with its labels only where they are asked for.

        :raises NotFoundError: when there is none.
        """
        for image in self._all():
            if image["ImageId"] == image_id:
                return _shown(image, verbose)
        raise NotFoundError(f"Image {image_id} does not exist.", "ImageNotFound")

    def list(self, query: dict[str, str], verbose: bool, number: int, size: int) -> Json:
        """List images by labels, name, address and workspace, sorted, one page."""
        wanted = [tuple(part.split("=", 1)) for part in (query.get("Labels") or "").split(",") if "=" in part]
        choice(query, "SortBy", "GmtCreateTime", ("GmtCreateTime",))
        images = [image for image in self._all() if _fits(image, query) and set(wanted) <= _pairs(image)]
        descending = choice(query, "Order", "ASC", ("ASC", "DESC")) == "DESC"
        images.sort(key=lambda image: str(image["GmtCreateTime"]), reverse=descending)
        return {
            "Images": [_shown(image, verbose) for image in page(images, number, size)],
            "TotalCount": len(images),
        }

    def remove(self, image_id: str) -> Json:
        """Take an added image away."""
        self._own(image_id)
        self.account.store.delete(KIND, image_id)
        return {}

    def label(self, image_id: str, request: Json) -> Json:
        """Set labels; those not named stay."""
        image, added = self._own(image_id), _checked(request.get("Labels") or [])
        keys = {label["Key"] for label in added}
        image["Labels"] = [label for label in image["Labels"] if label["Key"] not in keys] + added
        self.account.store.put(KIND, image_id, {**image, "GmtModifiedTime": self.account.timestamp()})
        return {}

    def _all(self) -> Sequence[Json]:
        region = self.account.settings.region
        return [*(each.describe(region) for each in OFFICIAL), *self.account.store.all(KIND)]

    def _own(self, image_id: str) -> Json:
        image = self.account.store.get(KIND, image_id)
        if image is None:
            raise NotFoundError(f"Image {image_id} does not exist, or is none of the account's own.", "ImageNotFound")
        return image


def _check_name(name: str | None) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,49}", name or ""):
        allowed = "1 to 50 lowercase letters, digits and hyphens, and begin with a letter"
        raise InvalidParameterError(f"Name must have {allowed}, not {name!r}.")


def _checked(labels: Sequence[Json]) -> list[Json]:
    for label in labels:
        if label.get("Key") not in LABELS:
            raise InvalidParameterError(f"Labels: {label.get('Key')!r} is not one of {', '.join(sorted(LABELS))}.")
    return [{"Key": label["Key"], "Value": label.get("Value") or ""} for label in labels]


def _key(image: Json) -> tuple[str, str]:
    return image["WorkspaceId"], image["Name"]


def _pairs(image: Json) -> set[tuple[str, str]]:
    official = {("system.official", "false")} if "WorkspaceId" in image else set()
    return {(label["Key"], label["Value"]) for label in image["Labels"]} | official


def _fits(image: Json, query: dict[str, str]) -> bool:
    name, wanted = image["Name"], query.get("Name")
    exact = query.get("Options") == EXACT
    return (
        (name == wanted if exact and wanted else fuzzy(wanted, name))
        and fuzzy(query.get("Query"), f"{name}\n{image.get('Description') or ''}")
        and query.get("ImageUri") in (None, "", image["ImageUri"])
        and ("WorkspaceId" not in image or query.get("WorkspaceId") in (None, "", image["WorkspaceId"]))
        and query.get("Accessibility") in (None, "", image["Accessibility"])
    )


def _shown(image: Json, verbose: bool) -> Json:
    return image if verbose else {name: value for name, value in image.items() if name != "Labels"}
