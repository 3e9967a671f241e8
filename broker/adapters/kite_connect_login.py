"""The session of Kite Connect: where a person logs in, what is exchanged for the token, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from broker.adapters.failures import CallFailed
from broker.adapters.kite_connect_answers import Refused, read_failed, read_refused
from broker.adapters.kite_connect_client import make_client, require_client
from broker.adapters.kite_connect_terms import ROOT, Credentials
from broker.adapters.kite_values import mapping, part, required, text
from broker.ports import BrokerSchemaError

LOGIN_PAGE = "https://kite.zerodha.com/connect/login"
VERSION = "3"


@dataclass(frozen=True, slots=True)
class Login:
    """What a request token was exchanged for. ``repr`` shows no token."""

    access_token: str = field(repr=False)
    user_id: str = field(repr=False)
    user_name: str
    demat_consent: str


def login_page(api_key: str, *, state: str) -> str:
    """Where the person logs in; Kite's way back bears ``state``. Raises KiteConnectMissing."""
    require_client()
    asked = {"v": VERSION, "api_key": api_key, "redirect_params": urlencode({"state": state})}
    return f"{LOGIN_PAGE}?{urlencode(asked)}"


def exchange(api_key: str, api_secret: str, request_token: str, *, root: str = ROOT) -> Login:
    """The login of a request token, which is used up by it; asked once.

    Raises BrokerAuthExpired for a token that Kite does not take, BrokerUnavailable or BrokerSchemaError otherwise.
    """
    kite = make_client(Credentials(api_key, ""), root=root)
    try:
        row = mapping(kite.generate_session(request_token, api_secret), "session")
        return Login(
            access_token=required(row, "access_token"),
            user_id=required(row, "user_id"),
            user_name=text(row, "user_name"),
            demat_consent=text(part(row, "meta"), "demat_consent"),
        )
    except Refused as exc:
        raise read_refused(exc) from exc
    except CallFailed as exc:
        raise read_failed(exc) from exc
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BrokerSchemaError("the session is not of the agreed shape") from exc
    finally:
        kite.reqsession.close()


def end(credentials: Credentials, *, root: str = ROOT) -> bool:
    """Asks Kite to end the token; whether it said so. A token that is dead already counts as ended."""
    kite = make_client(credentials, root=root)
    try:
        kite.invalidate_access_token()
    except Refused as exc:
        return exc.is_dead_token
    except CallFailed:
        return False
    finally:
        kite.reqsession.close()
    return True
