"""What the monitor looks at. Imports nothing, since each DAG file imports it."""

MEANINGS = {
    "nifi": "NiFi answers",
    "flow": "the flow is on the canvas, all of it valid and running, and its queues move",
    "drift": "what runs is what was deployed",
    "consumer": "the consumer is alive, keeps up, and its batches end in time",
    "dead_letters": "no more dead letters than usual, by reason and of what was fetched",
    "freshness": "pages come in while the pull run goes on, and the newest frame is a row in Cassandra",
    "alerts": "alerts reach the webhook",
}
AREAS = tuple(MEANINGS)
