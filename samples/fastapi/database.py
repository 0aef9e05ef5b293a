"""The tables of this sample in the namespace's database, which DATABASE_URL names."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sqlalchemy import ForeignKey, String, create_engine, event, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

url = os.environ.get("DATABASE_URL", "sqlite:///fastapi.sqlite3")
# An SQLite file has one writer at a time: the others wait, here up to 20 seconds.
engine = create_engine(url, connect_args={"timeout": 20} if url.startswith("sqlite") else {})


@event.listens_for(engine, "connect")
def heed_foreign_keys(connection, record):
    """SQLite checks foreign keys only when it is asked to."""
    if engine.dialect.name == "sqlite":
        connection.execute("PRAGMA foreign_keys = ON")


class Table(DeclarativeBase):
    pass


class Post(Table):
    # Other applications share the database: the prefix keeps their tables apart.
    __tablename__ = "fastapi_post"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(100))
    content: Mapped[str]
    comments: Mapped[list[Comment]] = relationship(cascade="all, delete-orphan")


class Comment(Table):
    __tablename__ = "fastapi_comment"

    id: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[str]
    post_id: Mapped[int] = mapped_column(ForeignKey("fastapi_post.id"))


def find(session, table, number):
    """Return the row with this number or None, also for a number that no column can hold."""
    return session.get(table, number) if number < 2**31 else None


def table_rows():
    """Return the first ten tables of the database, a row for each."""
    return [[name] for name in sorted(inspect(engine).get_table_names())[:10]]


def prepare():
    """Make and fill the tables, once: several processes may start at the same moment."""
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not inspect(engine).has_table(Post.__tablename__):
            with engine.begin() as connection:
                Table.metadata.create_all(connection)
                seed(connection)


def seed(connection):
    with Session(connection) as session:
        posts = [
            Post(title="Post The First", content="Content for the first post"),
            Post(title="Post The Second", content="Content for the Second post"),
            Post(title="Post The Third", content="Content for the third post"),
        ]
        session.add_all(posts)
        session.flush()
        first, second, _ = [post.id for post in posts]
        session.add_all(
            [
                Comment(content="Comment for the first post", post_id=first),
                Comment(content="Comment for the second post", post_id=second),
                Comment(content="Another comment for the second post", post_id=second),
                Comment(content="Another comment for the first post", post_id=first),
            ]
        )
        session.commit()
