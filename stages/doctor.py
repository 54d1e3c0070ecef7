"""Whether a run would succeed: what is missing and what to do about it."""

from pathlib import Path

import typer

from pipeline.errors import InputError
from stages.command import ParamsFile, stage


def main(params: ParamsFile = Path("params.yaml")) -> str:
    """Check packages, machine, models, tables and disk space; exit code 1 only if something would stop the run."""
    from pipeline.setup.doctor import examine

    marks = []
    for finding in examine(params):
        marks.append(finding.mark)
        advice = f"; {finding.advice}" if finding.advice else ""
        line = " ".join(f"{finding.found}{advice}".split())
        typer.echo(f"{finding.mark:5}  {finding.what:10}  {line}")
    wrong = marks.count("wrong")
    if wrong:
        raise InputError(f"{wrong} of {len(marks)} checks found something that would stop the run")
    return f"nothing would stop the run, {marks.count('look')} of {len(marks)} to look at"


app = stage(main)

if __name__ == "__main__":
    app()
