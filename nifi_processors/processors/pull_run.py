"""PullRun: names the pages of a pull run, one FlowFile a page."""

# ruff: noqa: RUF012 - NiFi reads these classes as syntax and knows plain lists only
import time
from collections.abc import Callable

from nifiapi.componentstate import Scope
from nifiapi.flowfilesource import FlowFileSource, FlowFileSourceResult
from nifiapi.properties import (
    ProcessContext,
    PropertyDescriptor,
    StandardValidators,
    TimeUnit,
    ValidationContext,
    ValidationResult,
)

from nifi_processors.page import MAX_RECORDS
from nifi_processors.pull_run import Cursor, Progress, Run, attributes, handed_over, step


class PullRun(FlowFileSource):
    class Java:
        implements = ["org.apache.nifi.python.processor.FlowFileSource"]

    class ProcessorDetails:
        version = "0.1.0"
        tags = ["users", "http", "source", "page", "cursor"]
        description = (
            "Names the pages of a pull run, one empty FlowFile a page, for InvokeHTTP to fetch. A run is a source with "
            "its URL, a seed and a page size; the next page is kept in this processor's state and survives a crash. No "
            "page is skipped; after a crash one may be named twice. A new URL, seed or page size is a new run from "
            "page 1; a finished run rests, and more pages continue it. Run it with one concurrent task and a run "
            "duration of 0, on the primary node of a cluster."
        )

    SOURCE_URL = PropertyDescriptor(
        name="Source URL",
        description="Address of an API that speaks as randomuser.me does. The parameters results, page and seed are "
        "set for every page; others in the address, such as nat, are kept. Another address starts a new run from "
        "page 1.",
        required=True,
        validators=[StandardValidators.URL_VALIDATOR],
    )
    SOURCE_NAME = PropertyDescriptor(
        name="Source Name",
        description="Short name of the source. It is written into every row, receipt and dead letter, and is part of "
        "what makes two runs different. It may not hold a slash.",
        required=True,
        default_value="randomuser",
        validators=[StandardValidators.NON_EMPTY_VALIDATOR],
    )
    SEED = PropertyDescriptor(
        name="Seed",
        description="Seed of the run: the same seed gives the same users. A new seed starts a new run from page 1.",
        required=True,
        validators=[StandardValidators.NON_EMPTY_VALIDATOR],
    )
    PAGE_SIZE = PropertyDescriptor(
        name="Page Size",
        description="Users asked for in one page, 1 to 5000. Large pages are fast: 2500 is a good size. Another size "
        "starts a new run from page 1.",
        required=True,
        default_value="2500",
        validators=[StandardValidators.POSITIVE_INTEGER_VALIDATOR],
    )
    PAGES = PropertyDescriptor(
        name="Pages",
        description="How many pages the run has; 0 goes on for ever. Raising it continues a finished run.",
        required=True,
        default_value="80",
        validators=[StandardValidators.NON_NEGATIVE_INTEGER_VALIDATOR],
    )
    INTERVAL = PropertyDescriptor(
        name="Interval",
        description="Time from one page to the next, such as '0 sec' or '1 sec'; a page that comes late does not delay "
        "the one after it. Pages are never named faster than this processor's run schedule.",
        required=True,
        default_value="0 sec",
        validators=[StandardValidators.TIME_PERIOD_VALIDATOR],
    )

    property_descriptors = [SOURCE_URL, SOURCE_NAME, SEED, PAGE_SIZE, PAGES, INTERVAL]

    def __init__(self, **kwargs: object) -> None:
        self._run: Run | None = None
        self._progress: Progress | None = None

    def getPropertyDescriptors(self) -> list[PropertyDescriptor]:
        return self.property_descriptors

    def customValidate(self, context: ValidationContext) -> list[ValidationResult]:
        size = context.getProperty(self.PAGE_SIZE).getValue() or ""
        name = context.getProperty(self.SOURCE_NAME).getValue() or ""
        found = []
        if size.isdecimal() and int(size) > MAX_RECORDS:
            what = f"a page holds at most {MAX_RECORDS} users"
            found.append(ValidationResult("Page Size", what, valid=False, input=size))
        if "/" in name:
            found.append(ValidationResult("Source Name", "it may not hold a slash", valid=False, input=name))
        return found

    def onScheduled(self, context: ProcessContext) -> None:
        """Properties and state may have changed while the processor stood still."""
        self._run = self._progress = None

    def create(self, context: ProcessContext) -> FlowFileSourceResult | None:
        """The next page of the run, or None when it rests. Idle calls ask nothing of NiFi."""
        if self._run is None or self._progress is None:
            self._run = self._configured(context)
            state = context.getStateManager().getState(Scope.CLUSTER).toMap()
            cursor = Cursor.of(state, self._run)
            if state.get("run") == self._run.former_key:
                context.getStateManager().setState(cursor.state(), Scope.CLUSTER)
            self._progress = Progress(cursor)
        run, now = self._run, time.monotonic()
        todo = step(self._progress, run, now)
        if todo.save is not None:
            context.getStateManager().setState(todo.save.state(), Scope.CLUSTER)
        self._progress = progress = todo.progress
        if todo.page is None:
            return None
        page = todo.page

        def taken() -> None:
            self._progress = handed_over(progress, run, page, now)

        return _Page(attributes(run, page), taken)

    def _configured(self, context: ProcessContext) -> Run:
        def text(descriptor: PropertyDescriptor) -> str:
            return context.getProperty(descriptor).getValue() or ""

        milliseconds = context.getProperty(self.INTERVAL).asTimePeriod(TimeUnit.MILLISECONDS)
        return Run(
            source=text(self.SOURCE_NAME),
            url=text(self.SOURCE_URL),
            seed=text(self.SEED),
            page_size=int(text(self.PAGE_SIZE)),
            pages=int(text(self.PAGES)),
            interval=milliseconds / 1000,
        )


class _Page(FlowFileSourceResult):
    """An empty FlowFile. NiFi asks for the contents last: then the page is in its hands, and taken() is called."""

    def __init__(self, attributes: dict[str, str], taken: Callable[[], None]) -> None:
        super().__init__("success", attributes)
        self._taken = taken

    def getContents(self) -> bytes | None:
        self._taken()
        return None
