"""How the process of `taskfleet.brokers.watching` keeps a worker's messages hidden on SQS.

With nothing but the standard library. The worker says what it holds, and what it holds no more: ``{"held":
{receipt handle: [queue URL, received at]}, "dropped": [receipt handle, …]}``, times in seconds since the
epoch; and each time that it has extended all of it: ``{"account": {"endpoint", "region", "key", "secret",
"token"}, "lease", "every", "after"}``, in seconds. When the next such line is overdue, this does the same.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import ssl
import time
from typing import Any

ANSWER_SECONDS = 3.0
AGAIN_SECONDS = 2.0
BATCH = 10  # SQS: entries in one batch request
# SQS hides a message for twelve hours at most, counted from its receipt; a minute is for clocks that differ.
LONGEST_SECONDS = 12 * 3600 - 60
_OPERATION = "AmazonSQS.ChangeMessageVisibilityBatch"


def hidden_for(lease_seconds: int, *, received_at: float, now: float) -> int:
    """For how many seconds more a message may be hidden; 0 if SQS gives it to another worker now."""
    return max(0, min(lease_seconds, int(received_at + LONGEST_SECONDS - now)))


def signed(account: dict[str, str], body: bytes, *, now: float) -> dict[str, str]:
    """The headers of a request with AWS's signature, version 4."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": account["endpoint"].split("://")[1],
        "x-amz-date": stamp,
        "x-amz-target": _OPERATION,
    }
    if account["token"]:
        headers["x-amz-security-token"] = account["token"]
    listed, names = sorted(headers.items()), ";".join(sorted(headers))
    written = [f"{name}:{value}" for name, value in listed]
    request = "\n".join(["POST", "/", "", *written, "", names, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{account['region']}/sqs/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{account['secret']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    who = f"Credential={account['key']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {who}"}


class Sqs:
    """One connection to SQS."""

    def __init__(self, account: dict[str, str]) -> None:
        self._account = account
        scheme, host = account["endpoint"].split("://")
        if scheme == "https":
            context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
            self._http: Any = http.client.HTTPSConnection(host, timeout=ANSWER_SECONDS, context=context)
        else:
            self._http = http.client.HTTPConnection(host, timeout=ANSWER_SECONDS)

    def hide(self, url: str, seconds_by_receipt: dict[str, int]) -> tuple[list[str], bool]:
        """What SQS will never take any more, and whether all else is done. OSError if it does not answer."""
        receipts = list(seconds_by_receipt)
        entries = [
            {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": seconds_by_receipt[receipt]}
            for n, receipt in enumerate(receipts)
        ]
        body = json.dumps({"QueueUrl": url, "Entries": entries}).encode()
        self._http.request("POST", "/", body, signed(self._account, body, now=time.time()))
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            _say(f"SQS answered {answer.status}: {text[:200]!r}")
            return [], False
        failed = json.loads(text).get("Failed") or []
        gone = [receipts[int(entry["Id"])] for entry in failed if entry.get("SenderFault")]
        return gone, len(gone) == len(failed)

    def close(self) -> None:
        self._http.close()


class Renewing:
    """Of one worker."""

    def __init__(self) -> None:
        self.due = float("inf")
        self._told: dict[str, Any] = {}
        self._held: dict[str, tuple[str, float]] = {}

    def told(self, told: dict[str, Any]) -> None:
        """The worker holds other messages, or has extended all of them just now."""
        for receipt in told.get("dropped", ()):
            self._held.pop(receipt, None)
        self._held.update(told.get("held", {}))
        if "account" in told:
            self._told, self.due = told, time.monotonic() + told["after"]

    def renew(self) -> None:
        """It has not, so this does."""
        begun = time.monotonic()
        sqs, done = Sqs(self._told["account"]), True
        try:
            for url, batch in self._batches():
                done = self._hide(sqs, url, batch) and done
        except (OSError, ValueError, http.client.HTTPException) as error:
            done = False
            _say(repr(error))
        finally:
            sqs.close()
        self.due = begun + (self._told["every"] if done else min(self._told["every"], AGAIN_SECONDS))

    def _hide(self, sqs: Sqs, url: str, batch: dict[str, int]) -> bool:
        gone, done = sqs.hide(url, batch)
        for receipt in gone:
            self._held.pop(receipt, None)
        return done

    def _batches(self) -> list[tuple[str, dict[str, int]]]:
        lease, now = self._told["lease"], time.time()
        by_queue: dict[str, dict[str, int]] = {}
        for receipt, (url, at) in self._held.items():
            if seconds := hidden_for(lease, received_at=at, now=now):
                by_queue.setdefault(url, {})[receipt] = seconds
        return [
            (url, dict(list(seconds.items())[at : at + BATCH]))
            for url, seconds in by_queue.items()
            for at in range(0, len(seconds), BATCH)
        ]


def _say(what: str) -> None:
    line = {"level": "WARNING", "message": f"a busy worker's messages could not be kept hidden: {what}"}
    print(json.dumps(line), flush=True)
