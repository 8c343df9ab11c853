"""``reidsearch serve``"""

import ipaddress
import logging
from typing import Annotated

import typer

from reidsearch import service
from reidsearch.cli import output
from reidsearch.errors import ReidsearchError, UsageError


def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="The address to answer at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free.")
    ] = 8733,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A name that URLs call this service by, if not by its address."
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=1, help="Requests a second that one token, or client, may make.")
    ] = 200.0,
) -> None:
    """Answer over HTTP: queries, traces, pictures; take in crops. One gallery for everybody."""
    _require_extra()
    if ctx.meta["quiet"]:
        logging.getLogger("reidsearch.service.guards").setLevel(logging.WARNING)
    from reidsearch.gallery import Gallery
    from reidsearch.service import server
    from reidsearch.service.app import App
    from reidsearch.service.limits import Limits
    from reidsearch.service.tokens import Tokens

    tokens = Tokens(ctx.obj.data_dir)
    if not is_loopback(host) and not tokens.needed:
        raise UsageError(
            f"{host} can be reached from other machines, and nobody needs a token",
            hint="Make one with: reidsearch token NAME --role search. Or leave out --host.",
        )
    names = frozenset(one.lower() for one in [*(allow_host or ()), host])
    with server.listen(host, port) as listening:
        url = server.url_of(listening)
        with Gallery(ctx.obj, purpose="serve", address=url) as gallery:
            gallery.hold()
            app = App(gallery, limits=Limits(rate=rate, burst=int(2 * rate)), names=names)
            output.say(f"Serving {ctx.obj.data_dir} at {url} (Ctrl-C ends it)")
            if tokens.needed and not tokens.all():
                output.say(
                    "There is no token, and nobody is let in before there is one. Make it with: "
                    "reidsearch token NAME --role search"
                )
            server.serve(app, listening)
    output.say("Stopped.")


def is_loopback(host: str) -> bool:
    """Whether an address or a name is one of this machine's own, which no other can reach."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_extra() -> None:
    if not service.installed():
        raise ReidsearchError(
            "serving takes packages that are not installed",
            hint="pip install 'reidsearch[serve]'",
        )
