"""The chapter on canvas: https://docs.celeryq.dev/en/stable/userguide/canvas.html"""

from __future__ import annotations

import io
import json
from typing import Any

from celery import Signature, Task, chain, chord, chunks, group, signature, xmap
from celery.canvas import StampingVisitor, maybe_signature
from celery.result import GroupResult, ResultSet, result_from_tuple

from tests.compat.app import app, mark
from tests.compat.calling import eval_marks, note, note_result
from tests.compat.context import Context, outcome
from tests.compat.feature import feature
from tests.compat.tasks import add, fails, got, on_error, total


@app.task
def mul(x: int, y: int) -> int:
    return x * y


@app.task
def collect(results: Any) -> Any:
    return results


@app.task(bind=True)
def stamps(self: Task, *_args: Any, **_kwargs: Any) -> Any:
    names = getattr(self.request, "stamped_headers", None) or []
    given = getattr(self.request, "stamps", None) or {}
    listed = {name: value if isinstance(value, list) else [value] for name, value in sorted(given.items())}
    return [sorted(names), {name: sorted(map(str, value)) for name, value in listed.items()}]


# Signatures.


@feature("`signature(name, args, kwargs)`", 4)
def by_name(context: Context) -> Any:
    return got(signature("tests.compat.tasks.add", args=(2, 2), app=app).delay())


@feature("`task.s()`: `args`, `kwargs`, `options`", [[2], {"y": 3}, {"queue": "high"}], once=True)
def parts(context: Context) -> Any:
    made = add.s(2, y=3).set(queue="high")
    return [list(made.args), made.kwargs, made.options]


@feature("`sig.delay()`, `sig.apply_async()`", [4, 5])
def called(context: Context) -> Any:
    return [got(add.s(2, 2).delay()), got(add.s(2, 3).apply_async())]


@feature("`sig()` calls it here", 4, once=True)
def called_here(context: Context) -> Any:
    return add.s(2, 2)()


@feature("`~sig`: call it and wait", 4)
def tilde(context: Context) -> Any:
    return ~add.s(2, 2)


@feature("partials", [6, 7])
def partials(context: Context) -> Any:
    partial = add.s(2)
    return [got(partial.delay(4)), got(add.s(y=3).delay(4))]


@feature("a partial's keyword arguments are merged, new ones win", {"x": 1, "y": 9}, once=True)
def partial_kwargs(context: Context) -> Any:
    return add.s(x=1, y=2).clone(kwargs={"y": 9}).kwargs


@feature("options of a signature, and of the call", "feeds")
def options(context: Context) -> Any:
    from tests.compat.tasks import about

    seen = got(about.s("delivery_info").set(queue="high").apply_async(queue="feeds"))
    return context.logical(seen["delivery_info"]["routing_key"])


@feature("immutable: `.si()`", 4)
def immutable(context: Context) -> Any:
    return got(chain(add.s(9, 9), add.si(2, 2)).apply_async())


@feature("`.set(countdown=…)`", 4)
def set_(context: Context) -> Any:
    return got(add.s(2, 2).set(countdown=1).apply_async())


@feature("`.clone()` leaves the first as it is", [[2], [1, 2]], once=True)
def clone(context: Context) -> Any:
    one = add.s(2)
    return [list(one.args), list(one.clone(args=(1,)).args)]


@feature("`.freeze()`: the id is known before", True)
def freeze(context: Context) -> Any:
    made = add.s(2, 2)
    known = made.freeze()
    made.delay()
    return got(known) == 4


@feature("signatures through JSON: `Signature.from_dict`", 4)
def from_dict(context: Context) -> Any:
    return got(Signature.from_dict(json.loads(json.dumps(add.s(2, 2))), app=app).delay())


@feature("`maybe_signature`", 4)
def maybe(context: Context) -> Any:
    return got(maybe_signature(dict(add.s(2, 2)), app=app).delay())


@app.task
def calls_back(x: int, callback: Any = None) -> None:
    callback = maybe_signature(callback, app=app)
    callback.delay(x + 1)


@feature("a signature as an argument", [[8]])
def as_argument(context: Context) -> Any:
    calls_back.delay(7, callback=note_result.s(context.key))
    return eval_marks(context, 1)


@feature("`sig.link()`", [[4]])
def link(context: Context) -> Any:
    made = add.s(2, 2)
    made.link(note_result.s(context.key))
    made.delay()
    return eval_marks(context, 1)


@feature("`sig.on_error()`, `sig.link_error()`", ["ValueError", "ValueError"])
def link_error(context: Context) -> Any:
    fails.s().on_error(on_error.s(context.key)).delay()
    made = fails.s()
    made.link_error(on_error.s(context.key))
    made.delay()
    return context.wait_marks(2)


@feature("`app.signature`", 4)
def app_signature(context: Context) -> Any:
    return got(app.signature("tests.compat.tasks.add", (2, 2)).delay())


# Chains.


@feature("`chain`", 8)
def chain_(context: Context) -> Any:
    return got(chain(add.s(4, 4), mul.s(1))())


@feature("`a | b`", 64)
def pipe(context: Context) -> Any:
    return got((add.s(4, 4) | mul.s(8)).apply_async())


@feature("a partial chain", 64)
def partial_chain(context: Context) -> Any:
    return got((add.s(4) | mul.s(8)).apply_async(args=(4,)))


@feature("`result.parent` of a chain", [64, 8, 4])
def chain_parents(context: Context) -> Any:
    result = chain(add.s(2, 2), add.s(4), mul.s(8))()
    return [got(result), got(result.parent), got(result.parent.parent)]


@feature("a chain ends where a task fails", ["raises ValueError", 0])
def chain_fails(context: Context) -> Any:
    result = chain(fails.s(), note.si(context.key)).apply_async()
    return [outcome(lambda: got(result.parent)), context.settled(lambda: len(context.marks()), 1)]


@feature("an errback of a chain", ["ValueError"])
def chain_error(context: Context) -> Any:
    chain(add.s(1, 1), fails.si(), add.si(1, 1)).on_error(on_error.s(context.key)).apply_async()
    return context.wait_marks()


@feature("a chain's callback: `link=`", [[8]])
def chain_link(context: Context) -> Any:
    chain(add.s(2, 2), add.s(4)).apply_async(link=note_result.s(context.key))
    return eval_marks(context, 1)


@feature("`task_id=` of a chain is its last task's", True)
def chain_task_id(context: Context) -> Any:
    its_id = f"chain-{context.side.name}-{context.key}"
    result = chain(add.s(2, 2), add.s(4)).apply_async(task_id=its_id)
    return [got(result), result.id] == [8, its_id]


@feature("graphs: `result.collect()`", [64, 8, 4])
def graphs(context: Context) -> Any:
    result = chain(add.s(2, 2), add.s(4), mul.s(8))()
    got(result)
    values, each = [], result
    while each is not None:
        values.append(each.result)
        each = each.parent
    dot = io.StringIO()
    result.parent.parent.graph.to_dot(dot)
    return values if "digraph" in dot.getvalue() else dot.getvalue()


@feature("`result.collect()` yields results of children", [2, 4])
def collects(context: Context) -> Any:
    from tests.compat.tasks import parent

    result = parent.delay()
    got(result)
    for each in result.children:
        got(each)
    return sorted(value for _, value in result.collect() if isinstance(value, int))


@feature("a chain of chains", 19)
def chain_of_chains(context: Context) -> Any:
    return got(chain(chain(add.s(1, 1), add.s(7)), chain(add.s(5), add.s(5)))())


@feature("a chain of one, and of none", [4, None], once=True, alone=True)
def short_chains(context: Context) -> Any:
    return [chain(add.s(2, 2)).apply().get(), getattr(chain(), "tasks", None) or None]


# Groups.


@feature("`group`", [4, 8])
def group_(context: Context) -> Any:
    return group(add.s(2, 2), add.s(4, 4))().get(timeout=60)


@feature("a group of an iterator", [0, 2, 4, 6])
def group_iterator(context: Context) -> Any:
    return group(add.s(i, i) for i in range(4)).apply_async().get(timeout=60)


@feature("a partial group", [10, 11])
def partial_group(context: Context) -> Any:
    return group(add.s(0), add.s(1)).apply_async(args=(10,)).get(timeout=60)


@feature("a group's `countdown`", [4, 8])
def group_countdown(context: Context) -> Any:
    return group(add.s(2, 2), add.s(4, 4)).apply_async(countdown=1).get(timeout=60)


@feature("`group.skew()`", [2, 4], once=True)
def skew(context: Context) -> Any:
    made = group(add.s(1, 1), add.s(1, 1), add.s(1, 1)).skew(start=0, stop=10, step=2)
    return [task.options["countdown"] for task in made.tasks][1:]


@feature("a group's callback: `link` gets each result", [[4], [8]])
def group_link(context: Context) -> Any:
    made = group(add.s(2, 2), add.s(4, 4))
    for task in made.tasks:
        task.link(note_result.s(context.key))
    made.apply_async()
    return eval_marks(context, 2)


@feature("a group's errback is called for each failure", ["ValueError", "ValueError"])
def group_link_error(context: Context) -> Any:
    made = group(fails.s(), add.s(1, 1), fails.s())
    made.link_error(on_error.s(context.key))
    made.apply_async()
    context.wait_marks(2)
    return context.settled(context.marks, 1)


@feature(
    "`GroupResult`: `ready`, `successful`, `failed`, `waiting`, `completed_count`",
    [True, True, False, False, 2],
)
def group_result(context: Context) -> Any:
    result = group(add.s(2, 2), add.s(4, 4))()
    result.join(timeout=60)
    return [result.ready(), result.successful(), result.failed(), result.waiting(), result.completed_count()]


@feature("`GroupResult.join(propagate=False)`", [2, "ValueError"])
def group_join(context: Context) -> Any:
    found = group(add.s(1, 1), fails.s())().join(timeout=60, propagate=False)
    return [found[0], type(found[1]).__name__]


@feature("`GroupResult.join_native()`, `iter_native()`", [[2, 4], 2])
def group_native(context: Context) -> Any:
    result = group(add.s(1, 1), add.s(2, 2))()
    return [result.join_native(timeout=60), len(list(result.iter_native(timeout=60)))]


@feature("`GroupResult.save()`, `restore()`, `delete()`", [[2, 4], None])
def group_save(context: Context) -> Any:
    result = group(add.s(1, 1), add.s(2, 2))()
    result.save()
    values = GroupResult.restore(result.id, app=app).get(timeout=60)
    result.delete()
    return [values, GroupResult.restore(result.id, app=app)]


@feature("`GroupResult.revoke()`", "REVOKED", brokers=("redis",))
def group_revoke(context: Context) -> Any:
    result = group(add.s(1, 1), add.s(2, 2)).apply_async(countdown=3)
    result.revoke()
    context.wait(lambda: all(each.state != "PENDING" for each in result))
    return result[0].state


@feature("`GroupResult.forget()`", ["PENDING"])
def group_forget(context: Context) -> Any:
    result = group(add.s(1, 1))()
    result.get(timeout=60)
    result.forget()
    return [app.AsyncResult(each.id).state for each in result]


@feature("`ResultSet`", [2, 4])
def result_set(context: Context) -> Any:
    return ResultSet([add.delay(1, 1), add.delay(2, 2)], app=app).get(timeout=60)


@feature("`result.as_tuple()`, `result_from_tuple`", 4)
def as_tuple(context: Context) -> Any:
    known = json.loads(json.dumps(add.delay(2, 2).as_tuple()))
    return got(result_from_tuple(known, app=app))


@feature("groups in groups", [[4, 8], 2])
def nested_groups(context: Context) -> Any:
    made = group(group(add.s(2, 2), add.s(4, 4)), add.s(1, 1))
    found = made.apply_async().get(timeout=60)
    return found if isinstance(found[0], list) else [found[:2], found[2]]


@feature("a group of one in a chain is unrolled", 6)
def unrolled(context: Context) -> Any:
    return got(chain(add.s(1, 1), group(add.s(1)), add.s(3))())


@feature("a chain into a group", [5, 6])
def chain_into_group(context: Context) -> Any:
    return chain(add.s(2, 2), group(add.s(1), add.s(2)))().get(timeout=60)


# Chords.


@feature("`chord`", 9900)
def chord_(context: Context) -> Any:
    return got(chord(add.s(i, i) for i in range(100))(total.s()))


@feature("a group in a chain becomes a chord", 12)
def upgraded(context: Context) -> Any:
    return got((group(add.s(2, 2), add.s(4, 4)) | total.s()).apply_async())


@feature("the body can be immutable", 2)
def chord_immutable(context: Context) -> Any:
    return got(chord([add.s(9, 9)] * 2)(add.si(1, 1)))


@feature("a chord whose header fails: `ChordError`", "raises ValueError")
def chord_error(context: Context) -> Any:
    return outcome(lambda: got(chord([add.s(1, 1), fails.s()])(total.s())))


@feature("an errback of a chord's body", ["ChordError"])
def chord_on_error(context: Context) -> Any:
    chord([add.s(1, 1), fails.s()])(total.s().on_error(on_error.s(context.key)))
    return context.wait_marks()


@feature("… and of its header: `task_allow_error_cb_on_chord_header`", False, once=True)
def chord_header_error(context: Context) -> Any:
    return app.conf.task_allow_error_cb_on_chord_header


@feature("a chain with a chord in the middle", 15)
def chord_in_chain(context: Context) -> Any:
    return got(chain(add.s(1, 1), group(add.s(1), add.s(2)), total.s(), add.s(8))())


@feature("a chord of chains", 20)
def chord_of_chains(context: Context) -> Any:
    return got(chord([chain(add.s(1, 1), add.s(4)), chain(add.s(2, 2), add.s(10))])(total.s()))


@feature("a chord in a chord", 16)
def chord_in_chord(context: Context) -> Any:
    inner = chord([add.s(1, 1), add.s(2, 2)], total.s())
    return got(chord([inner, add.s(5, 5)])(total.s()))


@feature("a chord's body that is a chain", 36)
def chord_chain_body(context: Context) -> Any:
    return got(chord([add.s(1, 1), add.s(2, 2)])(chain(total.s(), mul.s(6))))


@feature("two groups in a row", [7, 8])
def two_groups(context: Context) -> Any:
    return (
        (group(add.s(1, 1), add.s(2, 2)) | group(total.si([7]), total.si([8]))).apply_async().get(timeout=60)
    )


@feature("an empty header: the body runs at once", 0)
def empty_chord(context: Context) -> Any:
    return got(chord([])(total.s()))


# Map, starmap, chunks.


@feature("`task.map`", [3, 7])
def map_(context: Context) -> Any:
    return got(total.map([[1, 2], [3, 4]]).apply_async())


@feature("`xmap`", [3, 7])
def xmap_(context: Context) -> Any:
    return got(xmap(total.s(), [[1, 2], [3, 4]], app=app).apply_async())


@feature("`task.starmap`", [2, 4])
def starmap(context: Context) -> Any:
    return got(add.starmap([(1, 1), (2, 2)]).apply_async())


@feature("`task.chunks`", [[0, 2], [4, 6]])
def chunks_(context: Context) -> Any:
    return add.chunks(zip(range(4), range(4), strict=True), 2)().get(timeout=60)


@feature("`chunks(…).group()`, with `skew`", [[0, 2], [4, 6]])
def chunks_group(context: Context) -> Any:
    made = chunks(add.s(), [(i, i) for i in range(4)], 2).group()
    made.skew(start=0, stop=2, step=1)
    return made.apply_async().get(timeout=60)


# Stamping.


@feature("`sig.stamp(name=value)`", [["mine"], {"mine": ["value"]}])
def stamp(context: Context) -> Any:
    made = stamps.s()
    made.stamp(mine="value")
    return got(made.delay())


@feature("stamps of a group reach each task", [[["mine"], {"mine": ["value"]}]] * 2)
def stamp_group(context: Context) -> Any:
    made = group(stamps.s(), stamps.s())
    made.stamp(mine="value")
    return made.apply_async().get(timeout=60)


@feature("stamps of a chain reach each task", [["mine"], {"mine": ["value"]}])
def stamp_chain(context: Context) -> Any:
    made = chain(add.s(1, 1), stamps.si())
    made.stamp(mine="value")
    return got(made.apply_async())


class Monitoring(StampingVisitor):  # type: ignore[misc]
    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {"monitoring": "an id", "stamped_headers": ["monitoring"]}


@feature("custom stamping: a `StampingVisitor`", [["monitoring"], {"monitoring": ["an id"]}])
def visitor(context: Context) -> Any:
    made = chain(add.s(1, 1), stamps.si())
    made.stamp(visitor=Monitoring())
    return got(made.apply_async())


class InGroups(StampingVisitor):  # type: ignore[misc]
    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {}

    def on_group_start(self, group: Any, **headers: Any) -> dict[str, Any]:
        return {"in_group": [len(group.tasks)], "stamped_headers": ["in_group"]}


@feature("`on_group_start` of a visitor", [[["in_group"], {"in_group": ["2"]}]] * 2)
def visitor_group(context: Context) -> Any:
    made = group(stamps.s(), stamps.s())
    made.stamp(visitor=InGroups())
    return made.apply_async().get(timeout=60)


class OnCallbacks(StampingVisitor):  # type: ignore[misc]
    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {"header": "value"}

    def on_callback(self, callback: Any, **headers: Any) -> dict[str, Any]:
        return {"on_callback": True}

    def on_errback(self, errback: Any, **headers: Any) -> dict[str, Any]:
        return {"on_errback": True}


@app.task(bind=True)
def note_stamps(self: Task, _result: Any, key: str) -> None:
    mark(key, sorted(getattr(self.request, "stamped_headers", None) or []))


@feature("callbacks stamping", ["['header', 'on_callback']"])
def visitor_callback(context: Context) -> Any:
    made = add.s(1, 1)
    made.link(note_stamps.s(context.key))
    made.stamp(visitor=OnCallbacks())
    made.delay()
    return context.wait_marks()


@feature("stamps of a chord reach its header", [[["mine"], {"mine": ["value"]}]] * 2)
def stamp_chord(context: Context) -> Any:
    made = chord([stamps.si(), stamps.si()], collect.s())
    made.stamp(mine="value")
    return got(made.apply_async())
