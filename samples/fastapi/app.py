"""A FastAPI application: posts and comments, and what an application may rely on.

Application Name ``app``, Callable Name ``app``, Python Protocol Type ``asgi``.
"""

import asyncio
import html
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Annotated

import database
from database import Comment, Post
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session


@asynccontextmanager
async def lifespan(app):
    """Prepare the database before the first request, let go of it after the last."""
    await run_in_threadpool(database.prepare)
    # Whatever is printed becomes a line of the log.
    print(f"The FastAPI sample has started in {os.getcwd()}", flush=True)
    yield
    database.engine.dispose()
    print("The FastAPI sample has ended", flush=True)


app = FastAPI(title="The FastAPI sample", lifespan=lifespan)
app.mount("/static", StaticFiles(directory="static"))  # below the working directory


def open_session():
    with Session(database.engine) as session:
        yield session


Database = Annotated[Session, Depends(open_session)]


class PostIn(BaseModel):
    title: str = Field(min_length=1, max_length=100)
    content: str = Field(min_length=1)


class PostOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    content: str


class CommentIn(BaseModel):
    content: str = Field(min_length=1)
    post_id: int


class CommentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    content: str
    post_id: int


class Message(BaseModel):
    message: str


@app.get("/", response_class=HTMLResponse, include_in_schema=False)
def index(request: Request):
    told = {
        "name": request.scope["root_path"],  # root_path: the name under which the application is mounted
        "user": request.headers.get("remote-user"),  # who signed in, if anybody was asked to
        "directory": os.getcwd(),
        "database": database.engine.url.render_as_string(hide_password=True),
        "url": str(request.base_url),
    }
    page = Template(Path("index.html").read_text(encoding="utf-8"))
    return page.substitute({key: html.escape(value or "(none)") for key, value in told.items()})


@app.get("/iris")
def iris() -> list[list[str]]:
    return database.table_rows()


@app.api_route("/interop", methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False)
async def interop(request: Request):
    body = await request.body()
    seen = {
        "method": request.method,
        "url": str(request.url),
        "headers": dict(request.headers),
        "body": body.decode(errors="replace"),
    }
    return {"status": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(seen)}


@app.get("/stream")
async def stream():
    """Send five server-sent events, each when it is ready."""

    async def events():
        for number in range(1, 6):
            yield f"data: event {number} of 5\n\n"
            await asyncio.sleep(0.25)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@app.websocket("/ws")
async def echo(websocket: WebSocket):
    """Send back whatever arrives, text as text and bytes as bytes."""
    await websocket.accept()
    try:
        while True:
            await send_back(websocket, await websocket.receive())
    except WebSocketDisconnect as end:
        print(f"A WebSocket was closed with code {end.code}", flush=True)


async def send_back(websocket, message):
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    if message.get("text") is not None:
        await websocket.send_text(message["text"])
    else:
        await websocket.send_bytes(message["bytes"])


@app.get("/posts")
def list_posts(session: Database) -> list[PostOut]:
    return session.scalars(select(Post).order_by(Post.id)).all()


@app.post("/posts", status_code=201)
def create_post(values: PostIn, session: Database) -> PostOut:
    post = save(session, Post(), values)
    print(f"Post {post.id} was written: {post.title!r}", flush=True)
    return post


@app.get("/posts/{number}")
def read_post(number: int, session: Database) -> PostOut:
    return find(session, Post, number)


@app.put("/posts/{number}")
def change_post(number: int, values: PostIn, session: Database) -> PostOut:
    return save(session, find(session, Post, number), values)


@app.delete("/posts/{number}")
def delete_post(number: int, session: Database) -> Message:
    return delete(session, Post, number)


@app.get("/comments")
def list_comments(session: Database) -> list[CommentOut]:
    return session.scalars(select(Comment).order_by(Comment.id)).all()


@app.post("/comments", status_code=201)
def create_comment(values: CommentIn, session: Database) -> CommentOut:
    need_post(session, values.post_id)
    return save(session, Comment(), values)


@app.get("/comments/{number}")
def read_comment(number: int, session: Database) -> CommentOut:
    return find(session, Comment, number)


@app.put("/comments/{number}")
def change_comment(number: int, values: CommentIn, session: Database) -> CommentOut:
    comment = find(session, Comment, number)
    need_post(session, values.post_id)
    return save(session, comment, values)


@app.delete("/comments/{number}")
def delete_comment(number: int, session: Database) -> Message:
    return delete(session, Comment, number)


def find(session, table, number):
    row = database.find(session, table, number)
    if row is None:
        raise HTTPException(404, f"{table.__name__} {number} was not found.")
    return row


def need_post(session, number):
    if database.find(session, Post, number) is None:
        raise HTTPException(400, "post_id must be the number of a post.")


def save(session, row, values):
    for field, value in values.model_dump().items():
        setattr(row, field, value)
    session.add(row)
    session.commit()
    return row


def delete(session, table, number):
    session.delete(find(session, table, number))
    session.commit()
    return Message(message=f"{table.__name__} deleted successfully")
