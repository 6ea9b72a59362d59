"""Connection half of operators and sensors: the fields that choose a connection, and the typed hook on it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import optional
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.remote import DEFAULT_CONN_ID, Json
from airflow_provider_pai.sensitive import hidden, mask_secret, secrets_in
from airflow_provider_pai.values import did_you_mean

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.base import PaiHook

HookT = TypeVar("HookT", bound="PaiHook")
T = TypeVar("T")

# Characters of a value in a line of the log, and items of a list.
_SHOWN, _SHOWN_ITEMS = 120, 3


# An operator itself, no mixin: `default_args` and `partial` reach only the constructors of operators.
class Connected(BaseOperator, Generic[HookT]):
    """Base of the operators and sensors: what asks PAI through a hook.

    A leaf names its hook for the type checker, `class EasOperator(PaiOperator["EasHook"])`, and gives the class in
    `hook_class`.

    :param pai_conn_id: connection of type `pai`. (templated)
    :param region: overrides the connection's region. (templated)
    :param workspace_id: overrides the connection's workspace. (templated)
    """

    template_fields: Sequence[str] = ("pai_conn_id", "region", "workspace_id")
    about: ClassVar[str] = ""
    """First line of the task's log, what it is about to do: `{name}` stands for a field of its own."""
    came: ClassVar[str] = ""
    """Its last line, what came of it: `{name}` stands for a field of its XCom, too, `{result}` for the whole."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Add the template fields of all its bases to a class's own: none can be forgotten."""
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        bases: list[Any] = [base for base in cls.__bases__ if hasattr(base, "template_fields")]
        if len(bases) == 1 and "template_fields" not in own and "template_fields_renderers" not in own:
            return  # as its base; this is done for every DAG file that is parsed
        fields = [name for base in reversed(bases) for name in base.template_fields]
        cls.template_fields = tuple(dict.fromkeys([*fields, *own.get("template_fields", ())]))
        renderers: dict[str, str] = {}
        for base in reversed(bases):
            renderers |= base.template_fields_renderers
        cls.template_fields_renderers = renderers | own.get("template_fields_renderers", {})

    def __init__(
        self,
        *,
        pai_conn_id: str = DEFAULT_CONN_ID,
        region: str | None = None,
        workspace_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        try:
            super().__init__(**kwargs)
        except (TypeError, AirflowException):  # Airflow names them all, not what was meant; 2.11 in an error of its own
            self._check_names(kwargs)
            raise
        self.pai_conn_id = pai_conn_id
        self.region = region
        self.workspace_id = workspace_id

    def _check_names(self, given: Iterable[str]) -> None:
        """Refuse arguments that no class in line takes.

        :raises PaiConfigError: naming the first, and what may be meant.
        """
        classes = type(self).__mro__
        allowed = {name for each in classes for name in signature(each.__init__).parameters}  # type: ignore[misc]
        for name in given:
            if name not in allowed:
                meant = did_you_mean(name, allowed)
                raise PaiConfigError(type(self).__name__, name, f"it has no such argument{meant}") from None

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Mask secrets as soon as they are known: Airflow stores rendered fields before it executes."""
        super()._do_render_template_fields(parent, *args, **kwargs)
        if parent is self:
            for _, secret in secrets_in({name: getattr(self, name, None) for name in self.template_fields}):
                mask_secret(secret)

    def say_aim(self) -> None:
        """Log what the task is about to do."""
        self.log.info("%s", self.in_words(self.about))

    def say_end(self, result: T) -> T:
        """Log what came of the task, and return it."""
        self.log.info("%s", self.told(result))
        return result

    def told(self, result: Any) -> str:
        """Return in one line what a result means."""
        return self.in_words(self.came, result)

    def in_words(self, line: str, result: Any = None) -> str:
        """Return a line with the task's own values, and those of its result, in short and without secrets."""
        facts = {**vars(self), "result": result, **(result if isinstance(result, Mapping) else {})}
        shown = {name: _in_short(name, value) for name, value in facts.items() if f"{{{name}}}" in line}
        return line.format_map(shown).rstrip(" ,:")

    @property
    @abstractmethod
    def hook_class(self) -> type[HookT]:
        """Return the hook's class, imported here and not with the module: parsing a DAG file imports no hook."""

    @property
    def hook_path(self) -> str:
        """Return where a trigger imports the hook's class from."""
        return f"{self.hook_class.__module__}.{self.hook_class.__qualname__}"

    @property
    def hook_arguments(self) -> Json:
        """Return what builds the hook on this connection, here or in a trigger."""
        return {
            "pai_conn_id": self.pai_conn_id,
            "region": optional("region", self.region, "a region"),
            "workspace_id": optional("workspace_id", self.workspace_id, "the id of a workspace"),
        }

    @cached_property
    def hook(self) -> HookT:
        """Return the hook."""
        return self.hook_class(**self.hook_arguments)


def _in_short(name: str, value: Any) -> str:
    """Return a value as a line of the log has it: of a model its version, of a list the first items."""
    if value is None:
        return ""
    if isinstance(value, Mapping | list | tuple) and not value:
        return "none"
    if isinstance(value, Mapping):
        text = str(value.get("version") or value.get("uri") or dict(value))
    elif isinstance(value, list | tuple):
        more = f" and {len(value) - _SHOWN_ITEMS} more" if len(value) > _SHOWN_ITEMS else ""
        text = ", ".join(map(str, value[:_SHOWN_ITEMS])) + more
    else:
        text = str(getattr(value, "__name__", value))
    # Half a pair of surrogates is refused where the value is read: here it would break the log.
    text = " ".join(hidden(text, value, name).split()).encode(errors="replace").decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
