"""Base of the hooks: the connection, the client, bounded retries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from airflow.providers.common.compat.sdk import BaseHook
from tenacity import Retrying, retry_if_exception, wait_random_exponential

from airflow_provider_pai.clock import SYSTEM_CLOCK, Clock
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.answers import Shape, shaped
from airflow_provider_pai.hooks.errors import refusal_of, translated
from airflow_provider_pai.hooks.rotation import Credentials, read_connection
from airflow_provider_pai.hooks.service_time import OF_THIS_PROCESS, ServiceTime
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.remote import DEFAULT_CONN_ID, Json
from airflow_provider_pai.services import SERVICES

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.connection import PaiConnection
    from airflow_provider_pai.hooks.network import Heard

T = TypeVar("T")
H = TypeVar("H", bound="PaiHook")
Moment = TypeVar("Moment", str, str | None)

_CONNECT_MS, _READ_MS = 5_000, 30_000
_AN_OBJECT: Shape = MappingProxyType({})
_REFUSAL: Shape = MappingProxyType({"Success": bool, "Code": object, "Message": str, "HttpStatusCode": int})


class PaiHook(BaseHook):
    """Base of the hooks: reads the connection lazily and once, builds the service's client.

    :param pai_conn_id: connection of type `pai`.
    :param region: overrides the connection's region.
    :param workspace_id: overrides the connection's workspace.
    """

    conn_name_attr = "pai_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "pai"
    hook_name = "Alibaba Cloud PAI"
    service: ClassVar[str] = ""
    """Name of a row of `services`."""
    retry_seconds: float = 60.0
    """How long a call that may be repeated is repeated after transient errors; pollers set 0."""
    clock: Clock = SYSTEM_CLOCK
    """The time of all that waits or reads this machine's time in a hook; tests set another."""

    def __init__(
        self, pai_conn_id: str = default_conn_name, region: str | None = None, workspace_id: str | None = None
    ) -> None:
        super().__init__()
        self.pai_conn_id = pai_conn_id
        self.region = region
        self.workspace_id = workspace_id

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments, to build the same hook in another process."""
        return {"pai_conn_id": self.pai_conn_id, "region": self.region, "workspace_id": self.workspace_id}

    @cached_property
    def connection(self) -> PaiConnection:
        """Return the connection.

        :raises PaiConfigError: when a field is missing or not allowed.
        """
        return read_connection(**self._place)

    @cached_property
    def credentials(self) -> Credentials:
        """Return what all clients of this hook and its siblings sign with."""
        return Credentials(self.connection, partial(read_connection, **self._place))

    @cached_property
    def _service_time(self) -> ServiceTime:
        return OF_THIS_PROCESS if self.clock.monotonic is SYSTEM_CLOCK.monotonic else ServiceTime()

    @property
    def service_clock(self) -> Clock:
        """Return the clock of the services, by which all is told that they or other processes have dated."""
        return self._service_time.clock(self.clock)

    def in_service_time(self, moment: Moment) -> Moment:
        """Return a moment of this machine's clock, ISO 8601, as the services' clock shows it."""
        if moment is None:
            return moment
        if not self._service_time.known:
            self.ping()
        left = datetime.fromisoformat(moment) - self.clock.utc()
        return (self.service_clock.utc() + left).isoformat()

    @property
    def address(self) -> str:
        """Return the service's address."""
        return self.connection.endpoint(self.service)

    def sibling(self, hook_class: type[H]) -> H:
        """Return another service's hook on the same connection, which is not read a second time."""
        hook = hook_class(**self.arguments)
        hook.__dict__["connection"] = self.connection
        hook.__dict__["credentials"] = self.credentials
        hook.retry_seconds = self.retry_seconds
        hook.clock = self.clock
        return hook

    def insist(self, action: str, ask: Callable[[], object], going: Callable[[], str]) -> None:
        """Ask for an end, again where it is refused, for `retry_seconds`: what is being prepared may not be ended yet.

        :param ask: makes the call, once.
        :param going: returns what goes on, as `dlc1 is Running`; empty where it has ended, ends, or is gone.
        :raises PaiApiError: it was refused all the while, and goes on.
        :raises PaiPermissionError: the key may not.
        """

        def once() -> None:
            try:
                self.call(action, ask, repeatable=False)
            except (PaiTransientError, PaiPermissionError):
                raise
            except PaiApiError as error:
                if what := going():
                    raise error.saying(f"{what} and can't be ended yet: {error.message}") from None

        self.call(action, once, passing=(PaiApiError,))

    @property
    def _place(self) -> dict[str, Any]:
        return {"conn_id": self.pai_conn_id, "region": self.region, "workspace_id": self.workspace_id}

    @cached_property
    def client(self) -> Any:
        """Return the service's SDK client; built once, keeps its connections alive."""
        return self._make_client()

    def get_conn(self) -> Any:
        """Return the SDK client."""
        return self.client

    def _make_client(self) -> Any:
        return import_module(f"{SERVICES[self.service].sdk}.client").Client(self.client_config())

    def ping(self) -> None:
        """Make the smallest read there is; what the connection's Test button does.

        :raises PaiApiError: of the fitting kind.
        """
        raise NotImplementedError

    def client_config(self, service: str | None = None) -> Any:
        """Return the SDK configuration of a service: endpoint, rotating credentials, time-outs in ms."""
        from alibabacloud_tea_openapi.utils_models import Config

        from airflow_provider_pai.hooks.network import adopt

        adopt()
        scheme, _, host = self.connection.endpoint(service or self.service).rpartition("://")
        return Config(
            credential=self.credentials,
            endpoint=host,
            protocol=scheme or "https",
            region_id=self.connection.region,
            connect_timeout=_CONNECT_MS,
            read_timeout=_READ_MS,
            user_agent="airflow-provider-pai",
        )

    def call(
        self,
        action: str,
        function: Callable[[], T],
        *,
        repeatable: bool = True,
        passing: tuple[type[PaiApiError], ...] = (PaiTransientError,),
    ) -> T:
        """Call the service with errors translated; where the credentials are refused, the connection is read anew.

        A refusal is no work done, so with other credentials any call is made again, at once. A key that was good before
        is waited for as an answer is: whoever changes it may end the old one first.

        :param repeatable: the call may be made again after a transient error (throttled, 5xx, connection lost);
            it is, with growing pauses and jitter, for `retry_seconds`. False for calls that create something.
        :param passing: the errors after which it is.
        :raises PaiApiError: of the fitting kind.
        """

        def once() -> T:
            while True:
                signed_with = self.credentials.connection
                sent = self.clock.monotonic()
                try:
                    with translated(self.service, action, self.pai_conn_id):
                        answer = function()
                    self.credentials.accepted = True
                    return answer
                except PaiPermissionError as error:
                    if not self.credentials.renewed(signed_with, error):
                        raise
                finally:
                    self._service_time.note(sent, self.clock.monotonic())

        def passes(error: BaseException) -> bool:
            if isinstance(error, PaiPermissionError):
                return error.of_key and self.credentials.accepted
            return isinstance(error, passing)

        if not repeatable:
            return once()
        give_up = self.clock.monotonic() + self.retry_seconds
        retrying = Retrying(
            retry=retry_if_exception(passes),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            stop=lambda _: self.clock.monotonic() >= give_up,
            sleep=self.clock.sleep,
            reraise=True,
        )
        return retrying(once)

    def ask(
        self, action: str, function: Callable[[], Any], shape: Shape = _AN_OBJECT, *, repeatable: bool = True
    ) -> Json:
        """Call a method of the SDK's client, and return the service's answer in the API's own field names.

        It is read as it came: an SDK's models make an empty list of one that is missing, and nothing of an empty body.

        :param shape: what the answer must be like.
        :param repeatable: as of `call`.
        :raises PaiAnswerError: it is not; as `call` else.
        """
        from airflow_provider_pai.hooks.network import heard

        def once() -> Json:
            function()
            answer = cast("Heard", heard.get())
            if self._refuses(shaped(answer.body, _REFUSAL)):
                raise refusal_of(self.service, action, answer.body, answer.request_id)
            read: Json = shaped(answer.body, shape)
            return read

        return self.call(action, once, repeatable=repeatable)

    def _refuses(self, answer: Json) -> bool:
        """Tell whether an answer with status 200 is a refusal (response models of DSW's and CloudMonitor's SDKs)."""
        return answer.get("Success") is False

    def request(
        self,
        action: str,
        version: str,
        method: str,
        path: str,
        *,
        query: Any = None,
        body: Any = None,
        shape: Shape = _AN_OBJECT,
        repeatable: bool = True,
    ) -> Json:
        """Make a call in the API's own field names, past the SDK's methods and models, and return the answer.

        :param path: `/` for APIs in RPC style.
        :param query: what stands in the address.
        :param shape: as of `ask`.
        :param repeatable: as of `call`.
        :raises PaiApiError: as `ask`.
        """
        ask = partial(self._exchange, action, version, method, path, query=query, body=body)
        return self.ask(action, ask, shape, repeatable=repeatable)

    def _exchange(
        self, action: str, version: str, method: str, path: str, *, query: Any = None, body: Any = None
    ) -> Json:
        """Make a call as `request`, once, and return `body` and `headers` of the answer."""
        from alibabacloud_tea_openapi.utils import Utils
        from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
        from darabonba.runtime import RuntimeOptions

        params = Params(
            action=action,
            version=version,
            protocol="HTTPS",
            method=method,
            auth_type="AK",
            style="RPC" if path == "/" else "ROA",
            pathname=path,
            req_body_type="json",
            body_type="json",
        )
        request = OpenApiRequest(query=Utils.query(query or {}), body=body)
        answer: Json = self.client.call_api(params, request, RuntimeOptions())
        return answer
