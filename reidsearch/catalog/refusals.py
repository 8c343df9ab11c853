"""What a PostgreSQL server, or the way to it, says no with, in words that help."""

from psycopg import Error

from reidsearch.errors import CatalogError, CatalogLocked, CatalogUnreachable

# By SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html
GOING = {"57P01", "57P02", "57P03", "57P05", "53300"}  # stopping, starting, too many connections
LOCKED = {"55P03", "40P01", "40001"}
FULL = {"53100", "53200"}
STANDBY = "25006"
DENIED = "42501"
NO_DATABASE, NO_ROLE, WRONG_PASSWORD = "3D000", "28000", "28P01"


def error_of(error: Error, address: str) -> CatalogError:
    """Ours for what psycopg raised of the catalog at ``address``."""
    said, code = _said(error), error.sqlstate
    if code in GOING or "the database system is" in said or "too many clients" in said:
        return CatalogUnreachable(
            f"the catalog's server at {address} is not ready: {said}",
            hint="Wait a moment, and run {same_call} again.",
        )
    if found := _of_a_pooler(said, address):
        return found
    if code in LOCKED:
        return CatalogLocked(
            f"another program holds the catalog at {address}: {said}",
            hint="Wait for it to end, and run {same_call} again.",
        )
    if code in FULL:
        return CatalogError(
            f"the catalog's server at {address} has no space left: {said}",
            hint="Free some of its disk, and run {same_call} again: it goes on where this ended, "
            "and nothing that was confirmed is lost.",
        )
    if code == STANDBY:
        return CatalogError(
            f"the catalog's server at {address} can only be read: {said}",
            hint="It is a standby; give the address of the one that takes changes.",
        )
    if code == DENIED or "permission denied" in said:
        return CatalogError(
            f"the catalog's server at {address} does not allow it: {said}",
            hint="The user has to own the catalog's tables, or may make them where there are none: "
            "GRANT CREATE ON SCHEMA public TO the user.",
        )
    if code == NO_DATABASE or ("database" in said and "does not exist" in said):
        return CatalogError(
            f"there is no database for the catalog at {address}: {said}",
            hint="Make it on the server: createdb, then the name at the end of {catalog_url}.",
        )
    if code in (WRONG_PASSWORD, NO_ROLE) or "authentication failed" in said or "password" in said:
        return CatalogError(
            f"the catalog's server at {address} does not let this user in: {said}",
            hint="The password is read from {catalog_url}, PGPASSWORD, or the file that "
            "REIDSEARCH_CATALOG_PASSWORD_FILE or PGPASSFILE (~/.pgpass) names; look at the "
            "server's pg_hba.conf, too.",
        )
    if code is None or code.startswith("08"):
        return CatalogUnreachable(
            f"the catalog's server at {address} does not answer: {said}",
            hint="See whether it runs, and is to be reached from here; then run {same_call} again: "
            "nothing that was confirmed is lost.",
        )
    return CatalogError(f"the catalog at {address} cannot be used: {said}")


def _of_a_pooler(said: str, address: str) -> CatalogError | None:
    """Ours for what PgBouncer, which may stand before the server, says by itself."""
    if "statement pooling" in said:
        return CatalogError(
            f"a pooler at {address} gives every statement another session: {said}",
            hint="Let its pool_mode be transaction, or session.",
        )
    if "unsupported startup parameter" in said:
        return CatalogError(
            f"a pooler at {address} does not pass on how the catalog is asked: {said}",
            hint="Give options to the role in place of PGOPTIONS or the URL: "
            "ALTER ROLE ... SET ...",
        )
    if "query_wait_timeout" in said:
        return CatalogUnreachable(
            f"a pooler at {address} had no session free for too long: {said}",
            hint="Let its default_pool_size be three for each process that uses the catalog at "
            "once, then run {same_call} again; nothing that was confirmed is lost.",
        )
    return None


def _said(error: Error) -> str:
    """The sentence alone: of a connection's failure libpq repeats it for each address."""
    said = error.diag.message_primary or str(error).strip() or type(error).__name__
    return said.splitlines()[0].removeprefix("connection failed: ")
