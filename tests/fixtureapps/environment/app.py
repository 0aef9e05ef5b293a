"""Answers every request with its environ, for tests/runtime/test_worker.py."""

import json


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: value for key, value in environ.items() if isinstance(value, (str, bool))}).encode()]
