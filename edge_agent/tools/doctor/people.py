"""The users of the line: whether they can be read, whether somebody is left to change them, who may overhear them."""

from __future__ import annotations

from edge_agent.errors import ConfigError
from edge_agent.people.roles import Role
from edge_agent.people.users import read_users, users_path
from edge_agent.settings.addresses import address_of
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn

__all__ = ["users"]


def users(site: Site) -> Finding:
    """Without users the line works, and with users that cannot be read it judges: but then nobody can sign."""
    path = users_path(site.settings.store.journal)
    try:
        found = [user for user in read_users(path).users if not user.is_disabled]
    except ConfigError as err:
        return fail(f"{err}: nobody can sign", err.hint)
    except OSError as err:
        return warn(f"{path} cannot be looked at: {err.strerror}", "run the doctor as the agent's user")
    if not found:
        return ok("this line has no users: names in its records are not proven")
    engineers = [user.name for user in found if user.role is Role.ENGINEER]
    web = site.settings.web
    address = None if web is None else address_of(web.host)
    if web is not None and not (address is not None and address.is_loopback):
        return warn(
            f"the page listens at {web.host} and speaks plain HTTP: passwords can be read on that network",
            'host = "127.0.0.1" in [web], and nginx with TLS before it (docs/behind-nginx.md)',
        )
    if len(engineers) == 1:
        return warn(
            f"{engineers[0]} is the only engineer: nobody else can add users or give passwords anew",
            f'edge-agent users add NAME --role engineer --as "{engineers[0]}"',
        )
    return ok(f"{len(found)} users, {len(engineers)} of them engineers")
