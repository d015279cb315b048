"""The two brokers, as kombu transports with the known faults of the stock ones closed.

Give the name as Celery's ``broker_transport`` (or kombu's ``Connection(url, transport=…)``), beside an
ordinary ``redis://`` or ``rediss://`` URL. With ``transport`` given kombu no longer looks at the URL's
scheme, so TLS has to be asked for: ``broker_use_ssl={"ssl_cert_reqs": "required"}``, or
``?ssl_cert_reqs=required`` in the URL.
"""

from __future__ import annotations

PRIMARY_TRANSPORT = "taskfleet.brokers.redis:Transport"
FALLBACK_TRANSPORT = "taskfleet.brokers.sqs:Transport"
