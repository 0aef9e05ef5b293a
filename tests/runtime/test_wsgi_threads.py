"""What the epoll tells once is served, whoever heard it: no request waits for the next one."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.runtime.house import House, ask, opened
from tests.waiting import wait_for
from webapps.runtime.wsgi_connection import GULP


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with opened(monkeypatch) as made:
        yield made


def read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            break
        data += part
    return data


def test_a_client_that_asks_and_says_at_once_that_this_is_all_is_answered_and_let_go(house: House) -> None:
    with house.client() as client:
        client.sendall(b"q")
        client.shutdown(socket.SHUT_WR)

        assert read(client, 2) == b"q"
        wait_for(lambda: not house.threads.connections)


@pytest.mark.parametrize("count", [2, GULP - 1, GULP, GULP + 1, 2 * GULP])
def test_requests_one_behind_the_other_are_all_answered(house: House, count: int) -> None:
    with house.client() as client:
        client.sendall(b"q" * count)

        assert read(client, count) == b"q" * count


def test_what_comes_while_a_connection_is_served_is_served_next(house: House) -> None:
    with house.client() as client:
        client.sendall(b"s")
        assert house.held_up.wait(20)
        client.sendall(b"q")
        wait_for(lambda: any(connection.again for connection in house.threads.connections.values()))

        house.go_on.set()

        assert read(client, 2) == b"sq"


def test_a_client_that_goes_while_it_is_served_is_let_go(house: House) -> None:
    with house.client() as client:
        client.sendall(b"s")
        assert house.held_up.wait(20)
    house.go_on.set()

    wait_for(lambda: not house.threads.connections)


def test_a_word_of_nothing_does_not_hold_a_thread_up(house: House) -> None:
    with house.client() as client:
        ask(client)
        for fd in house.threads.connections:
            house.threads.pending.extend([(fd, 1)] * 3)
        with house.client() as another:
            ask(another)

        wait_for(lambda: not house.threads.pending)
        ask(client)


def test_what_the_one_has_taken_and_cannot_serve_is_given_back(house: House) -> None:
    house.rush()
    with house.client() as slow, house.client() as first, house.client() as second:
        for client in (slow, first, second):
            for _ in range(10):
                ask(client)
        slow.sendall(b"s")
        assert house.held_up.wait(20)
        # As if it had taken these with its last step.
        house.threads.pending.extend((fd, 1) for fd in house.threads.connections)
        for client in (first, second):
            client.sendall(b"q")

        house.threads.serve_together()

        assert read(first, 1) == read(second, 1) == b"q"
        house.go_on.set()
        assert read(slow, 1) == b"s"
