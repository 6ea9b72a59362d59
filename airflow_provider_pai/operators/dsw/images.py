"""Operator that registers an image in the workspace, for notebooks and jobs to choose."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import one_of, optional, required, text_mapping
from airflow_provider_pai.operators.base import PaiOperator

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook

_LABELS = {"system.supported.dsw": "true", "system.supported.dlc": "true"}
_NAME = "1 to 50 lowercase letters, digits and hyphens, a letter first"
_ACCESSIBILITIES = ("PUBLIC", "PRIVATE")


class DswRegisterImageOperator(PaiOperator["AIWorkspaceHook"]):
    """Register an image in the workspace under a name; one that is there already is found, and gets labels it lacks.

    It is then among the custom images of DSW and DLC. A name stays that of its address: another tag takes another name.

    API: ListImages, AddImage, AddImageLabels.

    :param image_name: 1 to 50 lowercase letters, digits and hyphens, a letter first. (templated)
    :param image: address of the image in its registry, with its tag. (templated)
    :param labels: `system.chipType`, `system.framework`, `system.pythonVersion` and others that AddImage takes; beside
        them stand `system.supported.dsw` and `system.supported.dlc`, both `true` unless told otherwise. (templated)
    :param description: what the console shows beside it. (templated)
    :param accessibility: PUBLIC: all members of the workspace may use and manage it; PRIVATE: its creator alone.
    :returns: the image's id, which `image` of the operators that run on DSW takes as it takes an address.
    """

    about = "Register image {image} as {image_name}"
    came = "Image {image_name} is {result}"

    template_fields: Sequence[str] = ("image_name", "image", "labels", "description")
    template_fields_renderers = {"labels": "json"}

    def __init__(
        self,
        *,
        image_name: str,
        image: str,
        labels: Mapping[str, str] | None = None,
        description: str | None = None,
        accessibility: str = "PUBLIC",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_name = image_name
        self.image = image
        self.labels = labels
        self.description = description
        self.accessibility = accessibility

    @property
    def hook_class(self) -> type[AIWorkspaceHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook

        return AIWorkspaceHook

    def carry_out(self, context: Any) -> str:
        """Register the image and return its id."""
        name = required("image_name", self.image_name, _NAME)
        if not re.fullmatch("[a-z][a-z0-9-]{0,49}", name):
            raise PaiConfigError("image_name", name, _NAME)
        return self.hook.register_image(
            name,
            required("image", self.image, "an image's address"),
            {**_LABELS, **text_mapping("labels", self.labels)},
            accessibility=one_of("accessibility", self.accessibility, _ACCESSIBILITIES),
            description=optional("description", self.description, "a text"),
        )
