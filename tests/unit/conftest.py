"""The fleet's database, SQLite and PostgreSQL alike. What it needs is loaded by the tests that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.databases import POSTGRES, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if POSTGRES is None:
        pytest.skip("no PostgreSQL on this machine")
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    from sqlalchemy import text

    from edge_agent.fleet.database import open_database

    if request.param == "postgresql":
        (tmp_path / "database-url").write_text(request.getfixturevalue("postgres_url"))
        (tmp_path / "database-url").chmod(0o600)
    made = open_database(tmp_path)
    assert made.dialect.name == request.param
    try:
        yield made
        if request.param == "postgresql":
            with made.begin() as connection:
                connection.execute(text("DROP SCHEMA public CASCADE"))
                connection.execute(text("CREATE SCHEMA public"))
    finally:
        made.dispose()
