"""What the epoll tells once is served, whoever heard it: no request waits for the next one."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.runtime.house import House, ask, opened
from tests.waiting import wait_for
from webapps.runtime import wsgi_threads
from webapps.runtime.wsgi_connection import GULP
from webapps.runtime.wsgi_threads import BUNDLE


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with opened(monkeypatch) as made:
        yield made


@pytest.fixture
def bundling(house: House) -> House:
    """In a rush of requests that take longer than the front needs for them."""
    house.rush()
    assert house.threads.bundling
    with house.client() as slow, house.client() as quick:
        slow.sendall(b"s")
        assert house.held_up.wait(20)
        house.threads.alone = next(seat for seat in house.threads.seats if seat.connection)
        while len(set(house.names)) < len(house.threads.seats) - 1:
            ask(quick)  # The others serve once more, and rest.
        house.held_up.clear()
        house.go_on.set()
        assert slow.recv(1) == b"s"
        house.go_on.clear()
    return house


def ask_together(house: House, clients: list[socket.socket], words: bytes) -> None:
    """Have the one that serves alone find what all of these say at once; it is busy with a slow client meanwhile."""
    with house.client() as slow:
        for client in (slow, *clients):
            ask(client)
        slow.sendall(b"s")
        assert house.held_up.wait(20)
        for client, word in zip(clients, words, strict=True):
            client.sendall(bytes([word]))
        house.held_up.clear()
        house.go_on.set()
        assert read(slow, 1) == b"s"
        house.go_on.clear()


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


def test_of_many_that_ask_together_each_gets_its_own_answer(bundling: House) -> None:
    words = bytes(range(97, 97 + 11)).replace(b"s", b"")
    clients = [bundling.client() for _ in words]

    ask_together(bundling, clients, words)

    assert b"".join(read(client, 1) for client in clients) == words
    for client in clients:
        client.close()
    wait_for(lambda: not bundling.threads.connections)


def test_answers_of_quick_requests_go_out_together(bundling: House, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    outbox = bundling.threads.outbox
    send = outbox.send

    def counted() -> None:
        counts.append(len(outbox.held))
        send()

    monkeypatch.setattr(outbox, "send", counted)
    monkeypatch.setattr(wsgi_threads, "QUICK", 10.0)
    clients = [bundling.client() for _ in range(6)]

    ask_together(bundling, clients, b"qqqqqq")

    assert b"".join(read(client, 1) for client in clients) == b"qqqqqq"
    assert max(counts) == BUNDLE
    for client in clients:
        client.close()


def test_an_answer_does_not_wait_for_requests_that_are_slow(bundling: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_threads, "QUICK", -1.0)
    first, second, third = clients = [bundling.client() for _ in range(3)]

    ask_together(bundling, clients, b"qqs")

    assert read(first, 1) == read(second, 1) == b"q"
    bundling.go_on.set()
    assert read(third, 1) == b"s"
    for client in clients:
        client.close()


def test_whoever_is_held_up_behind_a_slow_one_is_served_by_others(
    bundling: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsgi_threads, "QUICK", 10.0)
    clients = [bundling.client() for _ in range(4)]
    ask_together(bundling, clients, b"qsqq")
    assert bundling.held_up.wait(20)

    bundling.threads.serve_together()

    assert [read(clients[number], 1) for number in (0, 2, 3)] == [b"q"] * 3
    bundling.go_on.set()
    assert read(clients[1], 1) == b"s"
    for client in clients:
        ask(client)
        client.close()
    wait_for(lambda: not bundling.threads.connections)


def test_a_client_that_goes_before_its_answer_went_out_is_let_go(
    bundling: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsgi_threads, "QUICK", 10.0)
    clients = [bundling.client() for _ in range(3)]
    ask_together(bundling, clients, b"qsq")
    assert bundling.held_up.wait(20)
    clients[0].close()

    bundling.go_on.set()

    assert read(clients[1], 1) == b"s"
    assert read(clients[2], 1) == b"q"
    for client in clients[1:]:
        ask(client)
        client.close()
    wait_for(lambda: not bundling.threads.connections)


def test_what_comes_behind_a_request_of_the_bundle_is_answered_after_it(
    bundling: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsgi_threads, "QUICK", 10.0)
    clients = [bundling.client() for _ in range(3)]
    ask_together(bundling, clients, b"qsq")
    assert bundling.held_up.wait(20)
    for client in clients:
        client.sendall(b"abc")

    bundling.go_on.set()

    assert [read(client, 4) for client in clients] == [b"qabc", b"sabc", b"qabc"]
    for client in clients:
        client.close()
