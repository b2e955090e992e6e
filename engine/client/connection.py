"""Requests to a service: sent again where that is safe, and errors as the library has them."""

import random
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from engine import errors
from engine.errors import NameRefused, OnekError, ServiceError, require_text

# Times that a request is sent which may be sent again, and seconds before the second time; twice as many before each further one.
_TRIES, _PAUSE = 5, 0.2
# With these statuses the service refused a request without beginning it.
_LATER = (429, 503)


class Connection:
    """A service, by its address. Any number of threads may use one connection."""

    def __init__(self, url: str, token: str | None, timeout: float, verify: bool | str | Path) -> None:
        """Connect when first asked. Arguments as of `Client`.

        Raises:
            ServiceError: the address or the token can be none, or the file of certificates cannot be read.
        """
        self.url = url
        headers = {} if token is None else {"Authorization": f"Bearer {_token(token)}"}
        # The environment's proxies are not used: pictures go directly to where the caller said.
        self._http = httpx.Client(
            base_url=_address(url), headers=headers, timeout=timeout, verify=_certificates(verify), trust_env=False
        )

    def close(self) -> None:
        """Close what is open."""
        self._http.close()

    def ask(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, again: bool = False, **sent: Any
    ) -> dict[str, Any]:
        """What is answered. `again`: whether it may be sent a second time, though it may have been done.

        Raises:
            ServiceError: the service does not answer, or refuses.
            OnekError: that which the service names.
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        again = again or method == "GET"
        for left in reversed(range(_TRIES)):
            try:
                answer = self._http.request(method, path, params=given, **sent)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing was sent
                problem: Exception = error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if not again or not isinstance(error, httpx.TransportError):
                    raise self._unreachable(error) from error
                problem = error
            else:
                if answer.is_success:
                    return _said(answer)
                problem = _error(answer)
                if answer.status_code not in _LATER:
                    raise problem
            if not left:
                raise problem if isinstance(problem, OnekError) else self._unreachable(problem) from problem
            time.sleep(_PAUSE * 2 ** (_TRIES - 1 - left) * random.uniform(0.5, 1))  # noqa: S311 - so that not all come at once
        raise AssertionError

    def _unreachable(self, error: Exception) -> ServiceError:
        return ServiceError(f"{self.url} does not answer: {error or type(error).__name__}")


def path_of(below: str, text: str, what: str) -> str:
    """A path below another, for a text that is called `what` in a message.

    Raises:
        NameRefused: it can be no part of an address.
    """
    require_text(what, text)
    if text in ("", ".", ".."):
        raise NameRefused(f"{what} is {text!r}, which an address cannot say; expected another, and onek rename gives one")
    try:
        return f"{below}/{quote(text, safe='')}"
    except UnicodeEncodeError as error:
        raise NameRefused(f"{what} {text!a:.60} holds half a character; expected whole ones") from error


def _said(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        what = f"{answer.url} answered {answer.status_code} with something that is no JSON; expected the address of onek serve"
        raise ServiceError(what, "unknown", answer.status_code)
    return said


def _error(answer: httpx.Response) -> OnekError:
    """The library's error that the service names, else a `ServiceError` with the service's message."""
    try:
        said = answer.json()["error"]
        code, message, request_id = str(said["code"]), str(said["message"]), str(said["request_id"])
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"the service answered {answer.status_code}", "unknown", answer.status_code)
    name = "".join(part.title() for part in code.split("_"))
    kind = getattr(errors, name, None) if name in errors.__all__ else None
    if isinstance(kind, type) and issubclass(kind, OnekError) and kind not in (ServiceError, OnekError):
        return kind(message)
    return ServiceError(message, code, answer.status_code, request_id)


def _address(url: str) -> httpx.URL:
    require_text("url", url)
    try:
        made = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ServiceError(f"url is {url!r}: {error}; expected one such as https://door.example:8000") from error
    if made.scheme not in ("http", "https") or not made.host:
        raise ServiceError(f"url is {url!r}; expected one such as https://door.example:8000")
    return made


def _token(token: str) -> str:
    require_text("token", token)
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise ServiceError(
            "the token holds characters that no token has; expected what onek token add printed, onek_...", "token"
        )
    return token


def _certificates(verify: bool | str | Path) -> ssl.SSLContext | bool:
    if isinstance(verify, bool):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except OSError as error:  # what the file holds raises one as well
        why = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror or error
        raise ServiceError(f"verify is {str(verify)!r}: {why}; expected a file of certificates (PEM)") from error
