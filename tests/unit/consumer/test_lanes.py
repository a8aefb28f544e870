"""In which lane the stream goes next."""

from spark_consumer.lanes import Course
from spark_consumer.names import CONTINUOUS, MICRO_BATCH

BEGUN = Course(CONTINUOUS, 60, 60)


def test_a_lane_that_did_not_last_is_waited_for_twice_as_long_up_to_a_limit() -> None:
    course = BEGUN
    calms = []
    for _ in range(6):
        course = course.changed(MICRO_BATCH, lasted=59)
        calms.append(course.calm)
        course = course.changed(CONTINUOUS, lasted=course.calm)
    assert calms == [120, 240, 480, 960, 960, 960]
    assert course.changed(MICRO_BATCH, lasted=961).calm == 60


def test_micro_batches_are_tried_after_failures_in_a_row_that_got_no_further() -> None:
    course = BEGUN.failed(advanced=False).failed(advanced=False)
    assert course.failed(advanced=True).failed(advanced=False).lane == CONTINUOUS
    assert course.failed(advanced=False).lane == MICRO_BATCH
    assert course.failed(advanced=False).failed(advanced=False).lane == MICRO_BATCH
