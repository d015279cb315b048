"""A Flask application with Celery as Flask's documentation has it ("Background Tasks with Celery")."""

import os

from celery import Celery, Task, chord, group, shared_task
from celery.result import AsyncResult, GroupResult
from flask import Flask, current_app, jsonify, request
from taskfleet import install


def celery_init_app(app: Flask) -> Celery:
    """From Flask's documentation, and one line more."""

    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    install(celery_app)
    app.extensions["celery"] = celery_app
    return celery_app


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        GREETING="hello",
        CELERY={
            "broker_url": "redis://localhost:6379/0",
            "result_backend": os.environ["SITE_RESULTS"],
            "task_ignore_result": False,
            "beat_schedule": {"tick": {"task": "site_app.tick", "schedule": 1.0}},
        },
    )
    celery_init_app(app)

    @app.post("/total")
    def total():
        result = chord((add.s(n, n) for n in range(request.json["up_to"])), summed.s())()
        return jsonify(id=result.id), 202

    @app.post("/squares")
    def squares():
        result = group(square.s(n) for n in request.json["of"])()
        result.save()
        return jsonify(id=result.id), 202

    @app.get("/total/<result_id>")
    def total_of(result_id):
        result = AsyncResult(result_id)
        return jsonify(ready=result.ready(), value=result.result if result.successful() else None)

    @app.get("/squares/<result_id>")
    def squares_of(result_id):
        result = GroupResult.restore(result_id)
        return jsonify(ready=result.ready(), value=result.join(timeout=30) if result.ready() else None)

    return app


@shared_task(ignore_result=False)
def add(one: int, other: int) -> int:
    return one + other


@shared_task(ignore_result=False)
def summed(numbers: list) -> str:
    return f"{current_app.config['GREETING']} {sum(numbers)}"


@shared_task(ignore_result=False)
def square(number: int) -> int:
    return number * number


@shared_task(ignore_result=True)
def tick() -> None:
    with open(os.environ["SITE_TICKS"], "a") as ticks:
        ticks.write("tick\n")


flask_app = create_app()
app = flask_app.extensions["celery"]
