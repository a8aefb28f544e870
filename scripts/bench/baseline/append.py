"""The ceiling of the last hop: rows that are in Spark's memory already, appended to Cassandra.

`python -m scripts.bench.baseline.append TABLE USERS ROUNDS` with the environment of the pipeline's consumer;
prints the seconds of each round as a JSON array, after one that doesn't count.
"""

import json
import sys
import time

from pyspark.sql import SparkSession

from spark_consumer.session import create_spark_connection
from spark_consumer.settings import load_settings

# Texts as long as the embedded source's.
_TEXTS = {
    "first_name": 7,
    "last_name": 9,
    "gender": 5,
    "address": 52,
    "post_code": 6,
    "email": 30,
    "username": 17,
    "registered_date": 24,
    "phone": 13,
    "picture": 47,
    "dob": 24,
    "source": 8,
    "flow_version": 12,
}


def main() -> None:
    table, users, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    spark = create_spark_connection(load_settings().model_copy(update={"group": "bench_append"}))
    seconds = [append(spark, table, users) for _ in range(rounds + 1)]
    spark.stop()
    print(json.dumps(seconds[1:]))


def append(spark: SparkSession, table: str, users: int) -> float:
    keyspace, name = table.split(".")
    texts = [f"substr(repeat(sha1(string(id)), 2), 1, {length}) AS {column}" for column, length in _TEXTS.items()]
    rows = spark.range(0, users, 1, 4).selectExpr("uuid() AS id", "current_timestamp() AS fetched_at", *texts).cache()
    rows.count()
    begun = time.monotonic()
    rows.write.format("org.apache.spark.sql.cassandra").mode("append").options(keyspace=keyspace, table=name).save()
    taken = time.monotonic() - begun
    rows.unpersist()
    return taken


if __name__ == "__main__":
    main()
