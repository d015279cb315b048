"""An application that OpenTelemetry, Datadog and New Relic instrument, each as its documentation says."""

# ruff: noqa: E402 - New Relic's agent comes before what it watches

import json
import os
import time
from pathlib import Path

import newrelic.agent

newrelic.agent.initialize()

from celery import Celery
from celery.signals import worker_process_init
from ddtrace import patch
from ddtrace.trace import TraceFilter, tracer
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from taskfleet import install


def note(**line):
    """Append a line to what was seen."""
    with open(os.environ["INSTRUMENTED_SEEN"], "a") as seen:
        seen.write(json.dumps(line) + "\n")


class ToFile(SpanExporter):
    """OpenTelemetry's spans."""

    def export(self, spans):
        """Append them."""
        for span in spans:
            note(
                by="otel",
                span=span.name,
                kind=span.kind.name,
                trace=f"{span.context.trace_id:x}",
                resource=dict(span.resource.attributes),
            )
        return SpanExportResult.SUCCESS


class Seen(TraceFilter):
    """Datadog's spans."""

    def process_trace(self, spans):
        """Append them, and send none."""
        for span in spans:
            note(by="datadog", span=span.name, resource=span.resource, trace=f"{span.trace_id:x}")


def start_opentelemetry():
    """In each process."""
    trace.set_tracer_provider(TracerProvider())
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(ToFile()))
    CeleryInstrumentor().instrument()


@worker_process_init.connect(weak=False)
def in_a_child(**_):
    start_opentelemetry()


patch(celery=True)
tracer.configure(trace_processors=[Seen()])

app = install(Celery("instrumented"))


@app.task(name="instrumented.work")
def work():
    transaction = newrelic.agent.current_transaction()
    note(by="newrelic", transaction=transaction.name if transaction else None)


@app.task(name="instrumented.hangs_once")
def hangs_once():
    if not (mark := Path(os.environ["INSTRUMENTED_SEEN"] + ".hangs")).exists():
        mark.touch()
        time.sleep(600)


@app.task(name="instrumented.fail")
def fail():
    raise KeyError("order")
