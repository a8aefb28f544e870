"""What a good engineer would write in NiFi's place: one Python process from HTTP to Kafka.

`python -m scripts.bench.baseline.producer`, with a JSON object as the first line of stdin: url, seed, size, pages,
interval, brokers, topic, schema_id, schema. It fetches the next page while it works on this one, drops what isn't
valid, waits until everything is acknowledged and ends with its stdin. No cursor, no retry, no dead letters, no
receipts: that is what it doesn't cost.
"""

import io
import json
import struct
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fastavro
import msgspec
import requests
from confluent_kafka import Producer


def main() -> None:
    job = json.loads(sys.stdin.readline())
    schema = fastavro.parse_schema(json.loads(job["schema"]))
    head = struct.pack(">bI", 0, job["schema_id"])
    producer = Producer(
        {"bootstrap.servers": job["brokers"], "compression.type": "lz4", "linger.ms": 10, "acks": "all"}
    )
    for body in fetched(job):
        micros = time.time_ns() // 1000
        for position, user in enumerate(msgspec.json.decode(body)["results"]):
            record = flattened(user, micros, position)
            if not valid(record):
                continue
            frame = io.BytesIO()
            frame.write(head)
            fastavro.schemaless_writer(frame, schema, record)
            send(producer, job["topic"], record["id"].encode(), frame.getvalue())
        producer.poll(0)
    if producer.flush(60):
        sys.exit("not everything was acknowledged")
    sys.stdin.read()


def fetched(job: dict[str, Any]) -> Iterator[bytes]:
    """The pages one after the other, each asked for while the one before is worked on, no faster than the interval."""
    session = requests.Session()
    begun = time.monotonic()

    def fetch(page: int) -> bytes:
        time.sleep(max(0.0, begun + (page - 1) * job["interval"] - time.monotonic()))
        query = {"seed": job["seed"], "results": job["size"], "page": page}
        response = session.get(job["url"], params=query, timeout=30)
        response.raise_for_status()
        return response.content

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(fetch, 1)
        for page in range(2, job["pages"] + 1):
            body = coming.result()
            coming = ahead.submit(fetch, page)
            yield body
        yield coming.result()


def flattened(user: dict[str, Any], micros: int, position: int) -> dict[str, Any]:
    place = user["location"]
    street = place["street"]
    return {
        "id": user["login"]["uuid"],
        "first_name": user["name"]["first"],
        "last_name": user["name"]["last"],
        "gender": user["gender"],
        "address": f"{street['number']} {street['name']}, {place['city']}, {place['state']}, {place['country']}",
        "post_code": str(place["postcode"]),
        "email": user["email"],
        "username": user["login"]["username"],
        "dob": user["dob"]["date"],
        "registered_date": user["registered"]["date"],
        "phone": user["phone"],
        "picture": user["picture"]["medium"],
        "country": place["country"],
        "source": "bench",
        "fetched_at": micros,
        "event_time": micros + position,
        "flow_version": "baseline",
    }


def valid(record: dict[str, Any]) -> bool:
    return bool(record["id"] and record["first_name"] and record["last_name"] and record["email"].count("@") == 1)


def send(producer: Producer, topic: str, key: bytes, frame: bytes) -> None:
    while True:
        try:
            return producer.produce(topic, frame, key)
        except BufferError:  # the queue is full: let some go out
            producer.poll(0.1)


if __name__ == "__main__":
    main()
