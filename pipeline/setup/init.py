"""A params file for the user's tables: proposed and written."""

from collections.abc import Callable
from pathlib import Path

from pipeline.addresses.resolve import expand_home, kind_of
from pipeline.params.file import load
from pipeline.setup.columns import Choose
from pipeline.setup.proposal import propose
from pipeline.setup.write import PARAMS, check_project, write_params
from pipeline.storage.atomic import check_writable

RAW = Path("data/raw")


def init(
    target: str,
    source: str | None,
    *,
    unlabelled: str | None,
    model: str | None,
    out: Path,
    choose: Choose,
    say: Callable[[str], None],
) -> str:
    """Propose a params file for one table to three and write it.

    Args:
        target: address of the table of few labelled texts.
        source: address of the source domain's.
        unlabelled: address of that of the target domain's texts without labels.
        model: of the teacher, and of the generator if it has a masked-LM head.
        out: what is there is kept beside it under a name with `.bak`, if `choose` takes the first answer.
        choose: is asked what the tables do not show.
        say: prints a line; what was found is printed as it is found.

    Returns what was made and what to run next. Raises InputError, before anything is written, if a table or a model
    cannot be used.
    """
    check_project()
    check_writable(out, "--out", folder=False)
    seed = load(PARAMS).seed
    proposal = propose(target, source, choose, seed, unlabelled)
    for line in proposal.notes:
        say(line)
    for path in filter(None, (target, source, unlabelled)):
        if kind_of(path) in ("local", "glob") and not Path(expand_home(path)).resolve().is_relative_to(RAW.resolve()):
            say(f"{path}: outside {RAW}, so DVC does not notice when it changes")
    # torch and transformers take hundreds of megabytes, which large tables need before.
    from pipeline.setup.params_text import params_text

    text = params_text(proposal, model, say)
    say(f"prepare gives {proposal.prepared}")
    return write_params(text, out, choose, say)
