"""A task that begins at once is a task like any other."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from webapps.runtime.eager import Starter

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[Any]:
    loop = request.param()
    yield loop
    loop.close()


def run(loop: Any, callback: Callable[[Starter], None]) -> None:
    """Call back from the loop, which goes on for a few rounds."""
    loop.call_soon(callback, Starter(loop))
    loop.call_later(0.05, loop.stop)
    loop.run_forever()


def test_what_does_not_wait_is_done_when_it_has_been_begun(loop: Any) -> None:
    seen: list[Any] = []

    async def serve() -> None:
        seen.append(asyncio.current_task())

    def begin(starter: Starter) -> None:
        task = starter.start(serve())
        seen.extend([task, task.done(), asyncio.current_task(loop)])

    run(loop, begin)

    assert seen == [seen[1], seen[0], True, None]


def test_what_waits_goes_on_later_and_others_begin_meanwhile(loop: Any) -> None:
    seen: list[str] = []

    async def serve(name: str) -> None:
        seen.append(f"{name} begins")
        await asyncio.sleep(0)
        seen.append(f"{name} ends")

    def begin(starter: Starter) -> None:
        tasks = [starter.start(serve("one")), starter.start(serve("two"))]
        loop.call_soon(seen.append, "the loop's own calls are as they were")
        assert not any(task.done() for task in tasks)

    run(loop, begin)

    assert seen[:2] == ["one begins", "two begins"]
    assert set(seen[2:]) == {"one ends", "two ends", "the loop's own calls are as they were"}


def test_each_has_its_own_context(loop: Any) -> None:
    seen: list[str] = []

    async def serve(name: str) -> None:
        seen.append(WHO.get())
        WHO.set(name)

    def begin(starter: Starter) -> None:
        starter.start(serve("one"))
        starter.start(serve("two"))
        seen.append(WHO.get())

    run(loop, begin)

    assert seen == ["nobody"] * 3


def test_an_error_is_the_tasks_and_an_exit_ends_the_loop(loop: Any) -> None:
    found: list[BaseException | None] = []

    async def fail(error: BaseException) -> None:
        raise error

    def begin(starter: Starter) -> None:
        found.append(starter.start(fail(ValueError("on purpose"))).exception())
        starter.start(fail(SystemExit(7)))
        found.append(None)  # It is not the callback that ends.

    # asyncio logs, whenever it is collected, that nobody asked what became of that task.
    loop.set_exception_handler(lambda *_said: None)
    with pytest.raises(SystemExit) as ended:
        run(loop, begin)

    assert [type(error) for error in found] == [ValueError, type(None)]
    assert ended.value.code == 7


def test_an_application_that_makes_the_tasks_itself_makes_these_too(loop: Any) -> None:
    made: list[Any] = []

    def factory(loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    async def serve() -> None:
        pass

    def begin(starter: Starter) -> None:
        loop.set_task_factory(factory)
        starter.start(serve())

    run(loop, begin)

    assert len(made) == 1
