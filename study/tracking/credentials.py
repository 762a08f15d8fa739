"""User and password in an address: refused where libraries would disagree about them, and never shown.

Works on text. Knows nothing of servers and databases.

An address in which a password is not percent-encoded can be read in several ways. One library ends the password at the
first `@`, another one at the last, a third one at `/` or `#`. Then a part of the password becomes the name of a host,
and is in every error message. So such an address is refused before anything uses it.
"""

import re
from urllib.parse import parse_qsl, unquote

from study.errors import UserError

_USER_INFO = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*")
"""User and password as RFC 3986 has them (section 3.2.1)."""

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^:\[\]\s]*)(?::[0-9]*)?")
"""One host with its port. A database address may have several, with commas between them."""

_SECRET_KEYS = ("password", "passwd", "pwd", "passfile", "sslpassword", "token")
"""Keys of an address's query whose values are secret."""

ENCODE = (
    "percent-encode the password: every character but letters, digits and -._~ becomes % and two digits, for instance "
    "@ becomes %40, / becomes %2F and # becomes %23"
)


def check_address(name: str, address: str) -> None:
    """Refuse an address whose user and password have more than one reading.

    Args:
        name: what the address is called in the message, for instance the environment variable.
        address: the address; text without `://` has no user.

    Raises:
        UserError: the address is such. The message has nothing of it.
    """
    _, separator, rest = address.partition("://")
    if not separator or rest.startswith("/"):  # a file has no user, and its path may have any character
        return
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, hosts = authority.rpartition("@")
    if "@" in rest[len(authority) :] or not _USER_INFO.fullmatch(user):
        raise UserError(f"{name}: this address can be read in several ways; {ENCODE}")
    if not all(map(_HOST.fullmatch, hosts.split(","))):
        hint = "" if at else f". If it is a password, write USER:PASSWORD@HOST; {ENCODE}"
        raise UserError(f"{name}: expected HOST or HOST:PORT in this address, where PORT is a number{hint}")


_USER = re.compile(r"(?<![\w+.-])(\w[\w+.-]*://)(?!/)[^\n]*@")
_QUERY = re.compile(r"(?<=\w)\?\S*=[^\s,'\")]*")


def without_credentials(text: str) -> str:
    """An address, or a message that quotes one, without user, password and query, for a terminal or a log.

    The last `@` of the line ends the password, so that no part of a password stays.
    """
    return _QUERY.sub("", _USER.sub(r"\1", text))


def secrets_of(uri: str) -> list[str]:
    """The parts of an address that no message may show: its passwords, as written and decoded; the longest first."""
    _, _, rest = uri.partition("://")
    user, at, _ = rest.rpartition("@")
    passwords = [user.partition(":")[2]] if at and not rest.startswith("/") else []
    passwords += [value for key, value in parse_qsl(rest.partition("?")[2]) if key.lower() in _SECRET_KEYS]
    return sorted({*passwords, *map(unquote, passwords)} - {""}, key=len, reverse=True)


_SHORT = 6
"""A shorter password may also be a word or a number of the message. It is replaced only where it is quoted."""


def redacted_message(error: BaseException, *uris: str) -> str:
    """The first line of an error, without credentials. The other lines are left out: they may quote a database."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    reason = without_credentials(reason)
    for secret in (secret for uri in uris for secret in secrets_of(uri)):
        # A whole word, or for a short one what is in quotes: no other word may change.
        before, after = (r"(?<!\w)", r"(?!\w)") if len(secret) >= _SHORT else (r"(?<=['\"])", r"(?=['\"])")
        reason = re.sub(before + re.escape(secret) + after, "***", reason)
    return reason[:200]
