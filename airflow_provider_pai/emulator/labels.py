"""Tag rule: which labels a resource can bear. DSW and EAS have it; DLC where the world says so.

Keys have 1 to 128 characters, values 0 to 128; neither begins with `aliyun` or `acs:` or holds `http://` or
`https://`, in any case ("ALIYUN::PaiDswApi::Instance" of ROS; OSS's "0010-00000213" tells of the case). A resource
bears 20 (TagResources of SLB, VPC and others).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.world import World

MAX_LABELS = 20
MAX_CHARACTERS = 128

_RESERVED = re.compile(r"\A(aliyun|acs:)", re.IGNORECASE)
_SCHEME = re.compile("https?://", re.IGNORECASE)


def kept(labels: Mapping[str, str], world: World) -> dict[str, str]:
    """Return a resource's labels as this world keeps them: as they are, or made to fit.

    :raises InvalidParameterError: one breaks the rule, or there are too many, and this world refuses that.
    """
    if world.label_values == "refused":
        check(labels)
    if world.label_values != "cut":
        return dict(labels)
    fitting = {_fitting(key): _fitting(value) for key, value in labels.items()}
    return {key: fitting[key] for key in list(filter(None, fitting))[:MAX_LABELS]}


def check(labels: Mapping[str, str], field: str = "Labels") -> None:
    """Refuse labels that break the rule.

    :raises InvalidParameterError: naming the key or value and what is allowed.
    """
    if len(labels) > MAX_LABELS:
        raise InvalidParameterError(f"{field} may have {MAX_LABELS} entries, not {len(labels)}.")
    for key, value in labels.items():
        for name, text, least in (("key", key, 1), ("value", value, 0)):
            if not least <= len(text) <= MAX_CHARACTERS or _RESERVED.match(text) or _SCHEME.search(text):
                raise InvalidParameterError(
                    f"{field}: the {name} {text!r} must have {least} to {MAX_CHARACTERS} characters, not begin with "
                    "aliyun or acs:, and not contain http:// or https://."
                )


def _fitting(text: str) -> str:
    while _SCHEME.search(text) or _RESERVED.match(text):
        text = _RESERVED.sub("", _SCHEME.sub("", text))
    return text[:MAX_CHARACTERS]
