"""Which page to fetch next. A run is a source, seed and page size; its cursor skips no page, and may repeat one."""

import hashlib
import math
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def url_digest(url: str) -> str:
    """What stands for a source's URL, which may hold a secret: 8 hex digits. "Due?" in the flow makes the same."""
    return hashlib.sha256(url.encode()).hexdigest()[:8]


def run_key(source: str, digest: str, seed: str, page_size: int | str) -> str:
    """What tells a run from others; digest: url_digest of its source's URL. Its pages have it before their number."""
    return f"{source}@{digest}/{seed}/{page_size}"


@dataclass(frozen=True)
class Run:
    """What to pull. pages: how many, 0 for ever. interval: seconds from one page to the next."""

    source: str
    url: str
    seed: str
    page_size: int
    pages: int
    interval: float

    @property
    def key(self) -> str:
        return run_key(self.source, url_digest(self.url), self.seed, self.page_size)

    @property
    def former_key(self) -> str:
        """What the key was before the URL was part of it."""
        return f"{self.source}/{self.seed}/{self.page_size}"

    @property
    def last(self) -> float:
        return self.pages or math.inf


@dataclass(frozen=True)
class Cursor:
    """What NiFi's state holds. run: Run.key. next_page: the first page not known to be handed over, from 1.

    first_page: the first one under this key; pages before it were handed over under the former one.
    """

    run: str
    next_page: int
    first_page: int = 1

    def state(self) -> dict[str, str]:
        return {"run": self.run, "next_page": str(self.next_page), "first_page": str(self.first_page)}

    @classmethod
    def of(cls, state: dict[str, str], run: Run) -> "Cursor":
        """The cursor of this run: where state left it, or page 1 when state tells of another run, or of none.

        State under the former key is this run's too. It has to be saved under the key then, or it would also be taken
        for that of the next URL.
        """
        page, first = _page(state.get("next_page")), _page(state.get("first_page"))
        if page and state.get("run") == run.former_key:
            return cls(run.key, page, page)
        if page and state.get("run") == run.key:
            return cls(run.key, page, first or 1)
        return cls(run.key, 1)


@dataclass(frozen=True)
class Progress:
    """Where a run is. handed: the page last given to NiFi, not yet in the cursor. due: not before, in monotonic s."""

    cursor: Cursor
    handed: int | None = None
    due: float = -math.inf


@dataclass(frozen=True)
class Step:
    """What to do now, in this order: save the cursor, keep the progress, emit the page. None: nothing of that."""

    save: Cursor | None
    progress: Progress
    page: int | None


def _page(text: str | None) -> int:
    """A page's number; 0 for what is none."""
    return int(text) if text and text.isdecimal() else 0


def step(progress: Progress, run: Run, now: float) -> Step:
    """The next step of a run, at `now` in monotonic seconds.

    NiFi commits a page's FlowFile only after it was returned. So the cursor moves past a page with the call that
    follows, and a crash between the two repeats that page.
    """
    save = None
    if progress.handed is not None:
        save = replace(progress.cursor, next_page=progress.handed + 1)
        progress = replace(progress, cursor=save, handed=None)
    page = progress.cursor.next_page
    if page > run.last or now < progress.due:
        return Step(save, progress, None)
    return Step(save, progress, page)


def handed_over(progress: Progress, run: Run, page: int, now: float) -> Progress:
    """The progress once NiFi took the page. The pace holds: one that is a little late does not delay the next."""
    begun = progress.due if now < progress.due + run.interval else now
    return replace(progress, handed=page, due=begun + run.interval)


def page_url(url: str, run_seed: str, page_size: int, page: int) -> str:
    """The source's URL asking for one page; its other query parameters stay, in their order."""
    parts = urlsplit(url)
    asked = [("results", str(page_size)), ("page", str(page)), ("seed", run_seed)]
    names = {name for name, _ in asked}
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in names]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(kept + asked), ""))


def attributes(run: Run, page: int) -> dict[str, str]:
    """The attributes of a page's FlowFile.

    InvokeHTTP writes every header of an answer as an attribute. No header of HTTP/1.1 has a colon inside its name.
    """
    return {
        "page:source": run.source,
        "page:url_digest": url_digest(run.url),
        "page:seed": run.seed,
        "page:size": str(run.page_size),
        "page:number": str(page),
        "page:url": page_url(run.url, run.seed, run.page_size, page),
    }
