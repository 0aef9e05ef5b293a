"""What the epoll tells once is served, whoever heard it: no request waits for the next one."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.patience import within
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
def bundling(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """In a rush of requests that take longer than the front needs for them, and count as quick nevertheless."""
    monkeypatch.setattr(wsgi_threads, "QUICK", 10.0)
    house.rush()
    assert house.threads.bundling
    alone = house.threads.alone
    assert alone and alone.thread
    with house.client() as slow, house.client() as quick:
        for client in (slow, quick):
            ask(client)
        hold_up(house, slow)
        while alone.connection is None:  # Another one was waiting already; it rests now.
            let_go(house, slow)
            hold_up(house, slow)
        asked = tire(house, quick)
        let_go(house, slow)
        if asked:
            assert read(quick, 1) == b"q"
    return house


def tire(house: House, quick: socket.socket) -> bool:
    """Ask until all but the one rest, who rest when they have served once more; say whether an answer is still due."""

    def others_rest() -> bool:
        return sum(gate.rests for gate in house.gates) == len(house.gates) - 1

    while not others_rest():
        quick.sendall(b"q")
        wait_for(lambda: others_rest() or is_readable(quick), 20)
        if not is_readable(quick):
            return True
        assert read(quick, 1) == b"q"
    return False


def is_readable(sock: socket.socket) -> bool:
    """Say whether there is something to read."""
    return bool(select.select([sock], [], [], 0)[0])


def hold_up(house: House, slow: socket.socket) -> None:
    """Keep a thread busy with a slow client."""
    house.held_up.clear()
    slow.sendall(b"s")
    assert house.held_up.wait(within(20))


def let_go(house: House, slow: socket.socket) -> None:
    """Let that client have its answer."""
    house.held_up.clear()
    house.go_on.release()
    assert read(slow, 1) == b"s"


def ask_together(
    house: House, clients: list[socket.socket], words: bytes, besides: Callable[[], object] = lambda: None
) -> None:
    """Have the one that serves alone find what all of these say at once; it is busy with a slow client meanwhile."""
    with house.client() as slow:
        for client in (slow, *clients):
            ask(client)
        hold_up(house, slow)
        for client, word in zip(clients, words, strict=True):
            client.sendall(bytes([word]))
        besides()
        let_go(house, slow)


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
        assert house.held_up.wait(within(20))
        client.sendall(b"q")
        wait_for(lambda: any(connection.again for connection in house.threads.connections.values()))

        house.go_on.release()

        assert read(client, 2) == b"sq"


def test_a_client_that_goes_while_it_is_served_is_let_go(house: House) -> None:
    with house.client() as client:
        client.sendall(b"s")
        assert house.held_up.wait(within(20))
    house.go_on.release()

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
        assert house.held_up.wait(within(20))
        # As if it had taken these with its last step.
        house.threads.pending.extend((fd, 1) for fd in house.threads.connections)
        for client in (first, second):
            client.sendall(b"q")

        house.threads.serve_together()

        assert read(first, 1) == read(second, 1) == b"q"
        house.go_on.release()
        assert read(slow, 1) == b"s"


def test_of_many_that_ask_together_each_gets_its_own_answer(bundling: House) -> None:
    words = b"abdefghijkl"
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
    bundling.go_on.release()
    assert read(third, 1) == b"s"
    for client in clients:
        client.close()


def test_whoever_is_held_up_behind_a_slow_one_is_served_by_others(bundling: House) -> None:
    clients = [bundling.client() for _ in range(4)]
    ask_together(bundling, clients, b"qsqq")
    assert bundling.held_up.wait(within(20))

    bundling.threads.serve_together()

    assert [read(clients[number], 1) for number in (0, 2, 3)] == [b"q"] * 3
    bundling.go_on.release()
    assert read(clients[1], 1) == b"s"
    for client in clients:
        ask(client)
        client.close()
    wait_for(lambda: not bundling.threads.connections)


def test_who_calls_while_a_bundle_is_held_up_is_let_in(bundling: House) -> None:
    clients = [bundling.client() for _ in range(2)]
    late: list[socket.socket] = []
    ask_together(bundling, clients, b"qs", lambda: late.append(bundling.client()))
    assert bundling.held_up.wait(within(20))

    bundling.threads.serve_together()

    ask(late[0])
    assert select.select([clients[1]], [], [], 0)[0] == []
    bundling.go_on.release()
    assert read(clients[1], 1) == b"s"
    for client in (*clients, *late):
        client.close()


def test_a_client_that_goes_before_its_answer_went_out_is_let_go(bundling: House) -> None:
    clients = [bundling.client() for _ in range(3)]
    ask_together(bundling, clients, b"qsq")
    assert bundling.held_up.wait(within(20))
    clients[0].close()

    bundling.go_on.release()

    assert read(clients[1], 1) == b"s"
    assert read(clients[2], 1) == b"q"
    for client in clients[1:]:
        ask(client)
        client.close()
    wait_for(lambda: not bundling.threads.connections)


def test_the_last_answer_of_a_connection_goes_out_before_it_is_closed(bundling: House) -> None:
    clients = [bundling.client() for _ in range(4)]

    ask_together(bundling, clients, b"qccq")

    assert b"".join(read(client, 1) for client in clients) == b"qccq"
    assert clients[1].recv(1) == clients[2].recv(1) == b""
    for client in clients:
        client.close()


def test_what_comes_behind_a_request_of_the_bundle_is_answered_after_it(bundling: House) -> None:
    clients = [bundling.client() for _ in range(3)]
    ask_together(bundling, clients, b"qsq")
    assert bundling.held_up.wait(within(20))
    for client in clients:
        client.sendall(b"abd")

    bundling.go_on.release()

    assert [read(client, 4) for client in clients] == [b"qabd", b"sabd", b"qabd"]
    for client in clients:
        client.close()
