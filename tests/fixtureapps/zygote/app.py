"""Says what the packages of its environment have met, and in which process."""

import json
import os

import evil
import flask


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid(), "flask": flask.__name__, "met": evil.MET}).encode()]
