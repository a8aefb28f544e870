"""To be replaced."""

import sys

from spark_consumer.worker import main

if __name__ == "__main__":
    sys.exit(main())
