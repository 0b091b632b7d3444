"""Functions that return calls and plans, as methods that block or that are awaited.

    class Client(Caller):
        families = calling(calls.families)

    class AsyncClient(AsyncCaller):
        families = calling_async(calls.families)

Parameters, kinds of answers and docstrings are those of the function; type checkers see them.
"""

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar, get_args

from nas_service.client.call import Call, Feed, ask
from nas_service.client.caller import AsyncCaller, Caller
from nas_service.exchange import Plan

P = ParamSpec("P")
Owner = TypeVar("Owner")
Answer = TypeVar("Answer")
Item = TypeVar("Item")


def calling(make: Callable[P, Call[Answer]]) -> Callable[Concatenate[Caller, P], Answer]:
    """Return a method that makes a call and returns its answer."""

    @functools.wraps(make)
    def method(owner: Caller, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return owner.run(ask(make(*args, **kwargs)))

    return _signed(method, make)


def calling_async(
    make: Callable[P, Call[Answer]],
) -> Callable[Concatenate[AsyncCaller, P], Awaitable[Answer]]:
    """Return a method that makes a call, to be awaited."""

    @functools.wraps(make)
    async def method(owner: AsyncCaller, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return await owner.run(ask(make(*args, **kwargs)))

    return _signed(method, make)


def doing(
    plan: Callable[Concatenate[Owner, P], Plan[Answer]],
) -> Callable[Concatenate[Owner, P], Answer]:
    """Return a method that performs a plan about its owner, who has a `caller`."""

    @functools.wraps(plan)
    def method(owner: Any, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        caller: Caller = owner.caller
        return caller.run(plan(owner, *args, **kwargs))

    return _signed(method, plan)


def doing_async(
    plan: Callable[Concatenate[Owner, P], Plan[Answer]],
) -> Callable[Concatenate[Owner, P], Awaitable[Answer]]:
    """Return a method that performs a plan about its owner, to be awaited."""

    @functools.wraps(plan)
    async def method(owner: Any, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        caller: AsyncCaller = owner.caller
        return await caller.run(plan(owner, *args, **kwargs))

    return _signed(method, plan)


def listing(
    feed: Callable[Concatenate[Owner, P], Feed[Item]],
) -> Callable[Concatenate[Owner, P], Iterator[Item]]:
    """Return a method that yields what a feed brings, asking for more as it is needed."""

    @functools.wraps(feed)
    def method(owner: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Item]:
        caller: Caller = owner.caller
        source = feed(owner, *args, **kwargs)
        while (items := caller.run(source.more())) is not None:
            yield from items

    return _signed(method, feed)


def listing_async(
    feed: Callable[Concatenate[Owner, P], Feed[Item]],
) -> Callable[Concatenate[Owner, P], AsyncIterator[Item]]:
    """Return a method that yields what a feed brings, for `async for`."""

    @functools.wraps(feed)
    async def method(owner: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Item]:
        caller: AsyncCaller = owner.caller
        source = feed(owner, *args, **kwargs)
        while (items := await caller.run(source.more())) is not None:
            for item in items:
                yield item

    return _signed(method, feed)


def _signed(method: Callable[P, Answer], source: Callable[..., Any]) -> Callable[P, Answer]:
    """Show the method's own signature to people: it has an owner, and answers what its source comes to."""
    shown = inspect.signature(source)
    owner = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = list(shown.parameters.values())
    is_call = getattr(shown.return_annotation, "__origin__", None) is Call
    answer = (get_args(shown.return_annotation) or (Any,))[-1]
    method.__signature__ = shown.replace(  # type: ignore[attr-defined]
        parameters=[owner, *(own if is_call else own[1:])],
        return_annotation=None if answer is type(None) else answer,
    )
    return method
