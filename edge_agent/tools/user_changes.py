"""A change of the users of a line: signed, told to the journal, and only then done."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.desk.noted import noted
from edge_agent.people.records import USERS_EVENT, users_detail
from edge_agent.people.roles import Action
from edge_agent.people.signing import sign
from edge_agent.people.users import changing_users, same_name, users_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.people.records import UserChanged
    from edge_agent.people.signing import Person
    from edge_agent.people.users import User, Users
    from edge_agent.settings import Settings

__all__ = ["UserChange", "change_users"]


@dataclass(frozen=True, slots=True)
class UserChange:
    """What becomes of the user of that name; ``change`` gives the users as they are to be, or raises UsageError."""

    what: UserChanged
    name: str
    change: Callable[[Users], Users]


def change_users(settings: Settings, wanted: UserChange, signer: Callable[[Users], Person]) -> tuple[User, str]:
    """Do it; the user as it is now, and by which way the journal heard of it.

    ``signer`` says who does it, of the users as they are. A user may give himself another password, all else is an
    engineer's. What the journal could not be told is not done. Raises NotPermitted, UsageError, EdgeAgentError,
    DriverError, OSError.
    """
    with changing_users(users_path(settings.store.journal)) as changing:
        person = signer(changing.users)
        is_own = wanted.what == "password" and same_name(person.name) == same_name(wanted.name)
        if not is_own:
            sign(person, Action.USERS)
        users = wanted.change(changing.users)
        user = users.known(wanted.name)
        detail = users_detail(wanted.what, user.name, user.role, person)
        via = asyncio.run(noted(settings, USERS_EVENT, detail))
        changing.write(users)
    return user, via
