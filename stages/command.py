"""How every stage runs: its params checked first, one line at its end, one line if something is wrong."""

import errno
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from pipeline.errors import InputError, out_of_memory
from pipeline.storage import workcache
from pipeline.storage.atomic import check_output, is_main_process, publish_file, publish_folder
from stages import stop as stop_early

OUTS = dict.fromkeys(("out", "curves", "onnx", "int8", "model_out", "data_out"), True)
OUTS |= dict.fromkeys(("metrics", "plots", "selection", "learner", "adapter"), False)
"""The options that name what a stage writes, and whether that is a folder."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""What a disk says that takes nothing more."""
Round = Annotated[int, typer.Option("--round", min=1, help="Which round; nothing is done if params ask for fewer.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="The params file, or the name of a preset.")]


@contextmanager
def usage_on_one_line(name: str | None, accepted: str = "") -> Iterator[None]:
    """Turn a usage error inside into one line and exit code 2; an error without a word of its own goes on."""
    try:
        yield
    except Exception as error:
        # Of all errors of click, which Typer brings under a name of its own, those of usage alone have a message.
        said = error.format_message() if hasattr(error, "format_message") else ""
        if not said:
            raise
        fail(f"{name}: {said}{accepted}", code=2)


class OneLine(TyperCommand):
    """A command whose usage errors, such as an unknown option, are one line too, with exit code 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        with usage_on_one_line(self.name):
            return super().parse_args(ctx, args)


def stage(work: Callable[..., str], *, rows: bool = False, reads: Collection[str] = ()) -> typer.Typer:
    """Make a Typer app of a stage's function, which returns what it made in a few words.

    InputError and a full disk become one line on standard error and exit code 1; so do Ctrl-C and SIGTERM, with 130 and
    143. The line at the end tells the time. Places where nothing can be written are found before any work.

    Args:
        rows: whether standard output is for the work's rows alone; the line at the end then goes to standard error.
        reads: the options that name what it reads, while they name outs of other stages.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    name = work.__module__.rsplit(".", 1)[-1] if work.__module__ != "__main__" else Path(sys.argv[0]).stem

    @app.command(name, cls=OneLine)
    @wraps(work)
    def run(*args: object, **options: object) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        start = time.monotonic()
        try:
            for option, path in options.items():
                if option in OUTS and option not in reads and isinstance(path, Path):
                    check_output(path, f"--{option.replace('_', '-')}", folder=OUTS[option])
            with _terminable():
                made = work(*args, **options)
            sys.stdout.flush()
            if is_main_process():
                typer.echo(f"{name}: {made}, {time.monotonic() - start:.1f} s", err=rows)
        except KeyboardInterrupt:
            fail(f"{name}: interrupted; {_kept(name)}", code=130)
        except Terminated:
            fail(f"{name}: terminated; {_kept(name)}", code=143)
        except InputError as error:
            fail(f"{name}: {error}")
        except BrokenPipeError as error:
            _forget_stdout()
            # Whoever read the rows, as `head` does, has enough.
            if not rows:
                fail(f"{name}: {error.strerror}")
        except Exception as error:
            if out_of_memory(error):
                fail(f"{name}: not enough memory; accepted: a smaller batch_size, max_length or model")
            if not isinstance(error, OSError):
                raise
            place = error.filename
            if place is None and error.errno in NO_ROOM:
                # What names nothing is neither an out nor the work cache.
                _forget_stdout()
                place = "standard output" if rows or not tempfile.tempdir else f"standard output or {tempfile.tempdir}"
            fail(f"{name}: {f'{place}: ' if place else ''}{error.strerror or error}")

    return app


def _forget_stdout() -> None:
    """Drop what is left to write there: it would fail once more at the exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Terminated(BaseException):
    """SIGTERM, which must not be taken for an error of the work."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise Terminated when SIGTERM comes, so that nothing half-written stays."""

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
    folder = workcache.root() / name
    if not folder.is_dir() or not any(folder.iterdir()):
        return "nothing half-written is left"
    return f"what was finished stands in {folder}, and the same command goes on from there"


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one line on standard error and stop with an exit code."""
    typer.echo(" ".join(message.split()), err=True)
    raise typer.Exit(code)


def last_round(asked: int) -> Path:
    """The folder of the student that the last round left."""
    return Path("models/student") if asked == 1 else Path(f"rounds/{asked}/student")


def left_out(number: int, asked: int, *outs: Path) -> str | None:
    """Write in place of a round's outs that params ask for fewer rounds, and say so; None if they ask for it."""
    if number <= asked:
        return None
    for out in outs:
        with publish_file(out) if out.suffix else publish_folder(out) as temporary:
            # DVC warns of what is empty.
            (temporary if out.suffix else temporary / "left_out.json").write_text('"rounds does not ask for it"\n')
    return f"nothing, for rounds is {asked}"
