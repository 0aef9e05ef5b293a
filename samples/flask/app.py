"""A Flask application: posts and comments, and what an application may rely on.

Application Name ``app``, Callable Name ``app``, Python Protocol Type ``wsgi``.
"""

import json
import os
import time

import database
from database import Comment, Post
from flask import Flask, abort, jsonify, render_template, request
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

app = Flask(__name__)
database.prepare()
# Whatever is printed becomes a line of the log.
print(f"The Flask sample has started in {os.getcwd()}", flush=True)


@app.get("/")
def index():
    return render_template(
        "index.html",
        name=request.script_root,  # SCRIPT_NAME: the name under which the application is mounted
        user=request.remote_user,  # REMOTE_USER: who signed in, if anybody was asked to
        directory=os.getcwd(),
        database=database.engine.url.render_as_string(hide_password=True),
    )


@app.get("/iris")
def iris():
    return jsonify(database.table_rows())


@app.route("/interop", methods=["GET", "POST", "PUT", "DELETE"])
def interop():
    seen = {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "body": request.get_data(as_text=True),
    }
    return {"status": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(seen)}


@app.get("/stream")
def stream():
    """Send five server-sent events, each when it is ready."""

    def events():
        for number in range(1, 6):
            yield f"data: event {number} of 5\n\n"
            time.sleep(0.25)

    return app.response_class(events(), mimetype="text/event-stream", headers={"Cache-Control": "no-store"})


@app.get("/posts")
def list_posts():
    with Session(database.engine) as session:
        posts = session.scalars(select(Post).order_by(Post.id))
        return jsonify([post.to_json() for post in posts])


@app.post("/posts")
def create_post():
    with Session(database.engine) as session:
        post = save(session, Post(title=text("title", limit=100), content=text("content")))
        print(f"Post {post['id']} was written: {post['title']!r}", flush=True)
        return post, 201


@app.get("/posts/<int:number>")
def read_post(number):
    with Session(database.engine) as session:
        return find(session, Post, number).to_json()


@app.put("/posts/<int:number>")
def change_post(number):
    with Session(database.engine) as session:
        post = find(session, Post, number)
        post.title = text("title", post.title, limit=100)
        post.content = text("content", post.content)
        return save(session, post)


@app.delete("/posts/<int:number>")
def delete_post(number):
    return delete(Post, number)


@app.get("/comments")
def list_comments():
    with Session(database.engine) as session:
        return jsonify([comment.to_json() for comment in session.scalars(select(Comment).order_by(Comment.id))])


@app.post("/comments")
def create_comment():
    with Session(database.engine) as session:
        return save(session, Comment(content=text("content"), post_id=post_id(session))), 201


@app.get("/comments/<int:number>")
def read_comment(number):
    with Session(database.engine) as session:
        return find(session, Comment, number).to_json()


@app.put("/comments/<int:number>")
def change_comment(number):
    with Session(database.engine) as session:
        comment = find(session, Comment, number)
        comment.content = text("content", comment.content)
        comment.post_id = post_id(session, comment.post_id)
        return save(session, comment)


@app.delete("/comments/<int:number>")
def delete_comment(number):
    return delete(Comment, number)


@app.errorhandler(HTTPException)
def error(problem):
    response = problem.get_response()  # with its headers, such as Allow of a 405
    response.data = json.dumps({"error": problem.description})
    response.content_type = "application/json"
    return response


def find(session, table, number):
    row = database.find(session, table, number)
    if row is None:
        abort(404, f"{table.__name__} {number} was not found.")
    return row


def save(session, row):
    session.add(row)
    session.commit()
    return row.to_json()


def delete(table, number):
    with Session(database.engine) as session:
        session.delete(find(session, table, number))
        session.commit()
    return {"message": f"{table.__name__} deleted successfully"}


def sent():
    """Return the object that the client sent as JSON."""
    values = request.get_json()
    if not isinstance(values, dict):
        abort(400, "Send a JSON object.")
    return values


def text(field, default=None, limit=None):
    """Return a text that the client sent; with a default it may be left out."""
    value = sent().get(field, default)
    if not isinstance(value, str) or not value.strip():
        abort(400, f"{field} must be a text that is not empty.")
    if limit and len(value) > limit:
        abort(400, f"{field} may have {limit} characters, not {len(value)}.")
    return value


def post_id(session, default=None):
    """Return the number of a post that the client sent and that exists."""
    value = sent().get("post_id", default)
    if type(value) is not int or database.find(session, Post, value) is None:
        abort(400, "post_id must be the number of a post.")
    return value
