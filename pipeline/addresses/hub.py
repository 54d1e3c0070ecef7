"""What the Hugging Face hub answers about a model or dataset, why it does not, and how long requests to it may take."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pipeline.addresses.waiting import BusyError, outlasting
from pipeline.errors import InputError, one_line

RepoType = Literal["model", "dataset"]


@dataclass(frozen=True)
class Answer:
    """What the hub says of a model or dataset: its files, or why there are none."""

    files: frozenset[str] = frozenset()
    """Paths of its files."""
    commit: str | None = None
    """The commit that its branch or tag is at."""
    refusal: str = ""
    """Why this one cannot be had and what to do about it, said of it: `is gated`; empty if it can."""
    outage: str = ""
    """Why the hub gives nothing now, a sentence; empty if it does."""
    busy: bool = False
    """Whether it may give it soon."""

    @property
    def found(self) -> bool:
        """Whether the hub gives it."""
        return not self.refusal and not self.outage


@lru_cache
def ask(kind: RepoType, hub_id: str, revision: str | None = None, *, patient: bool = False) -> Answer:
    """Ask the hub for a model or dataset, once in a process: with the hub out of reach, each request takes a while.

    Args:
        patient: whether a busy hub is waited for. Where the cache may do, it is not.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    request = api.model_info if kind == "model" else api.dataset_info
    try:
        with hub_requests(patient=patient):
            info: Any = request(hub_id, revision=revision)
            if info.gated:
                _check_access(kind, hub_id)
            return Answer(files=frozenset(file.rfilename for file in info.siblings or []), commit=info.sha)
    except InputError:
        raise
    except Exception as error:
        return explain(error, kind, hub_id)


def _check_access(kind: RepoType, hub_id: str) -> None:
    """Raise GatedRepoError if a gated model or dataset is not open to this user, which its files would show later."""
    from huggingface_hub import HfApi, errors

    try:
        HfApi().auth_check(hub_id, repo_type=kind)
    except errors.HfHubHTTPError as error:
        # A mirror need not know this request.
        if isinstance(error, errors.GatedRepoError):
            raise


def explain(error: Exception, kind: RepoType, hub_id: str) -> Answer:
    """Why a request failed. A full or broken disk is raised again as an OSError, with the cache's folder."""
    from huggingface_hub import constants, errors

    of_http = errors.HfHubHTTPError.__bases__[0]  # what all errors of the HTTP library are, too
    reason: BaseException | None = None
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
            raise OSError(each.errno, each.strerror, constants.HF_HOME) from error
        # That a file does not exist is what the libraries often want to know.
        if isinstance(each, (BusyError, ConnectionError, of_http)) and not isinstance(each, errors.EntryNotFoundError):
            reason = reason or each
    if reason is None:
        return Answer(refusal=f"cannot be read ({type(error).__name__}: {one_line(error)})")
    if isinstance(reason, errors.OfflineModeIsEnabled):
        return Answer(outage="the hub cannot be reached (offline mode)")
    if isinstance(reason, BusyError):
        return Answer(outage=f"the hub asks to try again {reason}", busy=True)
    if not isinstance(reason, errors.HfHubHTTPError):
        ended = type(reason).__name__ in ("ReadError", "RemoteProtocolError")
        outage = f"the hub cannot be reached ({one_line(reason) or type(reason).__name__})"
        return Answer(outage=outage, busy=ended)
    status = reason.response.status_code
    said = f"{status} {reason.response.reason_phrase}"
    page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{hub_id}"
    login = "`hf auth login` or set HF_TOKEN"
    if isinstance(reason, errors.RevisionNotFoundError):
        return Answer(refusal=f"is no revision that the hub has; accepted: {_revisions(kind, hub_id)}")
    if isinstance(reason, errors.GatedRepoError):
        then = f", then {login}" if status == 401 else ""
        return Answer(refusal=f"is gated ({said}); ask for access on {page}{then}")
    if reason.response.headers.get("X-Error-Message") == "Invalid credentials in Authorization header":
        return Answer(refusal=f"needs another token, because the hub does not know yours ({said}); {login}")
    if status in (401, 404):
        local = {"model": "folder", "dataset": "file"}[kind]
        line = f"is not a local {local}, and the hub has no such {kind} ({said}); accepted: the id of one"
        return Answer(refusal=f"{line}; if it is private, {login}")
    if status == 429 or status >= 500:
        return Answer(outage=f"the hub asks to try again later ({said})")
    return Answer(refusal=f"is refused by the hub ({said})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it or was handled as it was raised, and so on: the libraries replace one by another."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__


def _revisions(kind: RepoType, hub_id: str) -> str:
    """The branches and tags that a model or dataset has, as far as the hub lists them."""
    from huggingface_hub import HfApi

    try:
        with hub_requests(patient=False):
            refs = HfApi().list_repo_refs(hub_id, repo_type=kind)
    except Exception:
        return "a branch, a tag or the hash of a commit"
    names = [ref.name for ref in (*refs.branches, *refs.tags)]
    return f"{', '.join(names[:10])} or the hash of a commit"


@contextmanager
def hub_requests(*, patient: bool = True) -> Iterator[None]:
    """Inside, warnings of the libraries are silenced, and requests outlast a hub that is busy for a while.

    The libraries themselves would wait as long as the hub asks, five times, without a line.
    """
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "datasets")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with outlasting(patient=patient):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
