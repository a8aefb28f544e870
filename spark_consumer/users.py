"""The names of the users pipeline, on their way from a topic to a table. Light to import, for whoever needs them alone.

They are the defaults of the consumer's settings.
"""

from spark_consumer.names import TableName, dead_letter_topic

NAME = "users"
TOPIC = "user_data_topic"
DEAD_LETTER_TOPIC = dead_letter_topic(TOPIC)
CONSUMER_GROUP = "spark_consumer"
TABLE = TableName("spark_streams", "created_users")
