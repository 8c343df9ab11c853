"""Addresses of Qdrant servers, written in one way and without secrets.

Several addresses of one cluster are one text, with commas between.
"""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from reidsearch.errors import StoreError

PORTS = {"http": 6333, "https": 443}  # a server's, where its address names none


def address_of(url: str) -> str:
    """The address of the server at ``url``, or those of a cluster's nodes, without a user, a
    password or a key. Raises StoreError where ``url`` has no usable scheme, host or port."""
    found = []
    for one in each(url):
        parts, port = _parts(one)
        found.append(_address(parts, port or PORTS[parts.scheme]))
    return ",".join(dict.fromkeys(found))


def each(url: str) -> list[str]:
    """The addresses in a text. Raises StoreError where there is none."""
    found = [one.strip() for one in url.split(",") if one.strip()]
    if not found:
        raise not_an_address(url, "it is empty")
    return found


def is_at(url: str, address: str) -> bool:
    """Whether ``url`` names the server at ``address``, as ``address_of`` wrote it; of clusters,
    whether one of the nodes is the same. Without a port it may be at any of the usual ones:
    https:// did not always stand for 443. Raises as ``address_of`` does."""
    known = address.split(",")
    for one in each(url):
        parts, port = _parts(one)
        if any(_address(parts, at) in known for at in ([port] if port else PORTS.values())):
            return True
    return False


def is_loopback(address: str) -> bool:
    """Whether the server at ``address`` is on this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_near(address: str) -> bool:
    """Whether the server at ``address`` is on this machine or a network of its own, where sending
    numbers takes less time than packing them."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or is_loopback(address)


def not_an_address(url: str, why: object) -> StoreError:
    """The error of an address that cannot be one."""
    return StoreError(
        f"{url!r} is no Qdrant address: {why}", hint="Write it like http://localhost:6333."
    )


def _parts(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise not_an_address(url, error) from None
    if parts.scheme not in PORTS:
        raise not_an_address(url, f"{parts.scheme}:// is neither http:// nor https://")
    if not parts.hostname:
        raise not_an_address(url, "it names no host")
    return parts, port


def _address(parts: SplitResult, port: int) -> str:
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"
