"""What the topics mean: how far behind the consumer is, whether it moves, in which lane; and the dead letters."""

from collections.abc import Iterator

from nifi_flows.pipeline import Pipeline
from nifi_flows.wording import one_line
from scripts.doctor.diagnosis import Diagnosis, ok, problem, warning
from scripts.observe import consumer
from scripts.observe.consumer import ConsumerProgress
from scripts.observe.records import LettersSummary

_SILENT = 60  # seconds without a line in its log after which a consumer that stands still hangs
_REASONS = 4  # that are named


def check_progress(progress: ConsumerProgress, pipeline: Pipeline) -> Iterator[Diagnosis]:
    lost = sum(position.lost for position in progress.after.values())
    if lost:
        what = f"Kafka has removed {lost:,} frames that the consumer had not read"
        remedy = "./scripts/pipeline consumer reset --earliest goes on; audit then names what is to be pulled again"
        yield problem("lag", what, remedy)
    lag = consumer.lag_of(progress.after)
    moved = consumer.committed(progress.after) - consumer.committed(progress.before)
    if not lag:
        yield ok("lag", "every frame is consumed")
    elif moved:
        yield ok("lag", f"{lag:,} frames behind, and moving")
    elif progress.silent > _SILENT:
        yield problem(
            "lag",
            f"{lag:,} frames behind, and the consumer has stood still for {progress.silent:.0f} s",
            "./scripts/pipeline logs consumer says why; consumer stop and consumer start begin anew",
        )
    else:
        what = f"{lag:,} frames behind, and none consumed in {progress.seconds:.0f} s"
        yield warning("lag", what, "ask again; if it stays so, ./scripts/pipeline logs consumer")
    if lane := consumer.left_lane(progress.after, pipeline):
        what = f"the consumer's last lane is {lane}, while {pipeline.lane} is set"
        remedy = "usual for a minute or more after a refused frame; else ./scripts/pipeline logs consumer says why"
        yield warning("lane", what, f"{remedy}, and ./scripts/run takes up a lane that was set since")
    else:
        yield ok("lane", consumer.lane_of(progress.after) or "none yet")


def check_dead_letters(letters: LettersSummary, pipeline: Pipeline) -> Iterator[Diagnosis]:
    if not letters.count:
        yield ok("dead letters", "none")
        return
    most = sorted(letters.reasons.items(), key=lambda item: -item[1])[:_REASONS]
    named = ", ".join(f"{times} {one_line(reason)}" for reason, times in most)
    of = f"of the last {letters.read}" if letters.read < letters.count else "by reason"
    named = f"; {of}: {named}" if named else ""
    remedy = "./scripts/pipeline audit counts them all; mend the source where they are not meant"
    yield warning("dead letters", f"{letters.count:,} in {pipeline.dead_letters}{named}", remedy)
