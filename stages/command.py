"""How every stage runs: outputs checked first, one line when it is done, one line if something is wrong."""

import errno
import inspect
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from pipeline.errors import InputError, out_of_memory
from pipeline.storage.atomic import check_output, is_main_process, publish_file, publish_folder
from pipeline.storage.layout import LEFT_OUT
from stages import stop as stop_early

OUTPUTS = dict.fromkeys(("out", "curves", "onnx", "int8", "model_out", "onnx_out", "data_out"), True)
OUTPUTS |= dict.fromkeys(("metrics", "plots", "selection", "projection_and_policy", "adapter", "record"), False)
"""The options that name what a stage writes, and whether that is a folder."""
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""Errors of a disk that takes no more data."""
OF_ROUND = "; if not given, the round's."
OF_LAST_ROUND = "; if not given, the last round's."
"""End the help of options whose default depends on the round."""
Round = Annotated[int, typer.Option("--round", min=1, help="Number of the round; skipped if params ask for fewer.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="The params file, or the name of a preset.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also log what is reused, resumed and computed where.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only: no last line, warnings or progress.")]

logger = logging.getLogger("pipeline")
"""The parent of all loggers of this project."""


class OneLine(TyperCommand):
    """A command whose usage errors, such as an unknown option, are one line too, with exit code 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        with usage_on_one_line(self.name):
            return super().parse_args(ctx, args)


class Terminated(BaseException):
    """SIGTERM, which must not be taken for an error of the work."""


def stage(work: Callable[..., str], *, rows: bool = False, reads: Collection[str] = ()) -> typer.Typer:
    """Make a Typer app of a stage's function, which returns a summary of what it made.

    The app prints the summary and the seconds taken. InputError and a full disk become one line on standard error and
    exit code 1; so do Ctrl-C and SIGTERM, with exit codes 130 and 143. Outputs that cannot be written are found before
    any work. Every stage has the options -v and -q.

    Args:
        rows: whether standard output is for the work's rows alone; the last line then goes to standard error.
        reads: options of `OUTPUTS` that this stage reads.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    name = work.__module__.rsplit(".", 1)[-1] if work.__module__ != "__main__" else Path(sys.argv[0]).stem

    @wraps(work)
    def run(*, context: typer.Context, verbose: bool, quiet: bool, **options: Any) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        start = time.monotonic()
        with logging_to_stderr(log_level(name, context, verbose, quiet)), _failing_on_one_line(name, rows=rows):
            check_outputs(**{option: path for option, path in options.items() if option not in reads})
            with _terminable():
                summary = work(**options)
            sys.stdout.flush()
            if is_main_process() and logger.isEnabledFor(logging.WARNING):
                typer.echo(f"{name}: {summary}, {time.monotonic() - start:.1f} s", err=rows)

    _set_signature(run, work)
    app.command(name, cls=OneLine)(run)
    return app


def log_level(name: str, context: typer.Context, verbose: bool, quiet: bool) -> int:
    """The level that -v or -q of a command asks for; without them that of `l2a` before it, if any, or WARNING."""
    if verbose and quiet:
        fail(f"{name}: --quiet: got --verbose too; accepted: one of the two", code=2)
    if verbose or quiet:
        return logging.INFO if verbose else logging.ERROR
    return context.find_object(int) or logging.WARNING


@contextmanager
def logging_to_stderr(level: int) -> Iterator[None]:
    """Print the project's log messages of at least this level on standard error, each on a line of its own."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = logger.level
    # Of several processes the first reports what all of them do; warnings may concern one of them alone.
    logger.setLevel(level if is_main_process() else max(level, logging.WARNING))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _set_signature(run: Any, work: Callable[..., str]) -> None:
    """Give `run` the parameters of `work`, from which Typer makes the options, and its own: the context, -v and -q."""
    signature = inspect.signature(work, eval_str=True)
    own = {"context": typer.Context, "verbose": Verbose, "quiet": Quiet}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in own.items()
    ]
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *parameters])
    run.__annotations__ = {**work.__annotations__, **own}


@contextmanager
def _failing_on_one_line(name: str, *, rows: bool) -> Iterator[None]:
    """Turn the errors that a user can do something about into one line and an exit code; others go on."""
    try:
        yield
    except KeyboardInterrupt:
        fail(f"{name}: interrupted; {_kept(name)}", code=130)
    except Terminated:
        fail(f"{name}: terminated; {_kept(name)}", code=143)
    except InputError as error:
        fail(f"{name}: {error}", cause=error)
    except BrokenPipeError as error:
        _forget_stdout()
        # The reader of the rows, such as `head`, has enough.
        if not rows:
            fail(f"{name}: {error.strerror}", cause=error)
    except Exception as error:
        if out_of_memory(error):
            fail(f"{name}: not enough memory; accepted: a smaller batch_size, max_length or model", cause=error)
        if not isinstance(error, OSError):
            raise
        where = error.filename
        if where is None and error.errno in DISK_ERRORS:
            # Errors of outputs and of the work cache name their files; those of these two do not.
            _forget_stdout()
            where = "standard output" if rows or not tempfile.tempdir else f"standard output or {tempfile.tempdir}"
        fail(f"{name}: {f'{where}: ' if where else ''}{error.strerror or error}", cause=error)


def fail(message: str, code: int = 1, cause: BaseException | None = None) -> NoReturn:
    """Print one line on standard error and stop with an exit code; with L2A_DEBUG=1 print its traceback, too."""
    typer.echo(" ".join(message.split()), err=True)
    if cause is not None and os.environ.get("L2A_DEBUG") == "1":
        typer.echo("".join(traceback.format_exception(cause)), err=True)
    raise typer.Exit(code)


@contextmanager
def usage_on_one_line(name: str | None, accepted: str = "") -> Iterator[None]:
    """Turn a usage error into one line and exit code 2; an error without a message goes on."""
    try:
        yield
    except Exception as error:
        # Typer has its own copies of click's error classes; only those of usage errors have `format_message`.
        message = error.format_message() if hasattr(error, "format_message") else ""
        if not message:
            raise
        fail(f"{name}: {message}{accepted}", code=2)


def _forget_stdout() -> None:
    """Drop what is not written yet: writing it would fail once more at the exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise Terminated on SIGTERM, so that half-written files are removed."""

    def stop(*_: object) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is stop_early:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _kept(name: str) -> str:
    from pipeline.storage import workcache

    folder = workcache.root() / name
    if not folder.is_dir() or not any(folder.iterdir()):
        return "nothing half-written is left"
    return f"finished work is kept in {folder}, and the same command continues from there"


def check_outputs(**options: Any) -> None:
    """Raise InputError, naming the option, if an output among them cannot be written."""
    for option, path in options.items():
        if option in OUTPUTS and isinstance(path, Path):
            check_output(path, f"--{option.replace('_', '-')}", folder=OUTPUTS[option])


def skip_round(round_number: int, rounds: int, **outputs: Path) -> str | None:
    """Write placeholders for a round's outputs, given by option, if params ask for fewer rounds.

    Returns a summary that states it; None if the round is to be run.
    """
    check_outputs(**outputs)
    if round_number <= rounds:
        return None
    for option, path in outputs.items():
        folder = OUTPUTS[option]
        with publish_folder(path) if folder else publish_file(path) as temporary:
            # DVC warns of empty outs.
            (temporary / LEFT_OUT if folder else temporary).write_text('"rounds does not ask for it"\n')
    return f"skipped: rounds is {rounds}"
