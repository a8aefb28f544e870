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


def in_vain(course: Course, times: int) -> Course:
    for _ in range(times):
        course = course.failed(advanced=False)
    return course


def test_micro_batches_are_tried_after_failures_in_a_row_that_got_no_further() -> None:
    course = in_vain(BEGUN, 2)
    assert course.failed(advanced=True).failed(advanced=False).lane == CONTINUOUS
    assert course.failed(advanced=False).lane == MICRO_BATCH


def test_a_lane_that_alone_fails_is_tried_ever_more_seldom_and_shorter() -> None:
    course, calms = in_vain(BEGUN, 3), []
    for _ in range(5):
        calms.append(course.calm)
        course = course.changed(CONTINUOUS, lasted=course.calm)
        assert course.lane == CONTINUOUS
        course = course.failed(advanced=False)
        assert course.lane == MICRO_BATCH, "one more failure is enough"
    assert calms == [120, 240, 480, 960, 960]
    course = course.changed(CONTINUOUS, lasted=course.calm).failed(advanced=True)
    assert in_vain(course, 2).lane == CONTINUOUS, "it works again"


def test_the_continuous_lane_goes_on_when_micro_batches_that_were_tried_for_it_fail_as_well() -> None:
    tried = in_vain(BEGUN, 3)
    back = tried.failed(advanced=False)
    assert (back.lane, back.in_vain, back.calm) == (CONTINUOUS, 0, 60)
    assert tried.failed(advanced=True).failed(advanced=False).lane == MICRO_BATCH, "they get further"
    assert [course.undecided for course in (BEGUN, in_vain(BEGUN, 1), tried, back)] == [False, True, True, False]
    assert not tried.failed(advanced=True).undecided
    for_refused = BEGUN.changed(MICRO_BATCH, lasted=1)
    assert for_refused.failed(advanced=False).lane == MICRO_BATCH
