"""What the journal hears of a change of users: its event, and the event's detail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edge_agent.people.roles import Role
    from edge_agent.people.signing import Person

__all__ = ["USERS_EVENT", "UserChanged", "users_detail"]

USERS_EVENT = "USERS"
UserChanged = Literal["add", "role", "password", "disable", "enable"]


def users_detail(what: UserChanged, user: str, user_role: Role, by: Person) -> str:
    """What became of whom, and who signed for it; without a role where nobody proved that."""
    role = {} if by.role is None else {"role": by.role}
    told = {"what": what, "user": user, "user_role": user_role, "by": by.name, **role}
    return json.dumps({"schema_version": 1, **told}, ensure_ascii=False)
