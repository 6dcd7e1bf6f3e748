"""The roles that a user can have, and the one table of what each of them may sign for."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

__all__ = ["Action", "Role", "may", "roles_for"]


class Role(StrEnum):
    """What a person is on this line. None stands above another: each action names the roles that may do it."""

    OPERATOR = "operator"
    QUALITY = "quality"
    ENGINEER = "engineer"


class Action(StrEnum):
    """Everything that wants a signature."""

    REVIEW = "review"
    ACKNOWLEDGE = "acknowledge"
    WATCHDOG = "watchdog"
    DECIDE = "decide"
    BYPASS = "bypass"
    LIMIT = "limit"
    ACTIVATE = "activate"
    STUDY = "study"
    SHADOW = "shadow"
    CHALLENGE = "challenge"
    LEARN = "learn"
    USERS = "users"


def roles_for(action: Action) -> frozenset[Role]:
    """Who may sign for it."""
    match action:
        case Action.REVIEW | Action.ACKNOWLEDGE | Action.CHALLENGE:
            return frozenset(Role)
        case Action.ACTIVATE | Action.USERS:
            return frozenset({Role.ENGINEER})
        case (
            Action.DECIDE | Action.WATCHDOG | Action.BYPASS | Action.LIMIT | Action.STUDY | Action.SHADOW | Action.LEARN
        ):
            return frozenset({Role.QUALITY, Role.ENGINEER})
        case _:
            assert_never(action)


def may(role: Role, action: Action) -> bool:
    """Whether somebody with that role may sign for it."""
    return role in roles_for(action)
