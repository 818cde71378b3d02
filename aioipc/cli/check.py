"""`aioipc check WHERE…`."""

import sys
from dataclasses import asdict
from typing import Any

import click

from aioipc import CorruptSegmentError, Finding, IPCError, Report

from .output import json_option, print_json
from .where import WHERE, Where, any_owner_option

__all__ = ["check"]


@click.command()
@click.argument("where", nargs=-1, required=True, type=WHERE)
@any_owner_option
@json_option
def check(where: tuple[Where, ...], any_owner: bool, as_json: bool) -> None:
    """Walk everything in segments and report every contradiction.

    Exits with 1 when there is one, or a segment cannot be opened.  Recovers what killed processes left first;
    others wait for the walk.  With --json one object, or a list when several are named.
    """
    results = [_checked(one, any_owner, as_json) for one in where]
    if as_json:
        print_json(results[0] if len(results) == 1 else results)
    sys.exit(0 if all(result.get("sound") for result in results) else 1)


def _checked(where: Where, any_owner: bool, quiet: bool) -> dict[str, Any]:
    """For --json; says it to people unless `quiet`."""
    try:
        with where.open(any_owner) as segment:
            report = segment.check_sanity()
    except CorruptSegmentError as error:  # so much that it cannot be opened: that is the finding
        report = Report((Finding.of(error),), 1, {})
    except IPCError as error:
        click.echo(f"Error: {error}", err=True)
        return {"name": where.name, "sound": None, "trouble": str(error)}
    if not quiet:
        click.echo(f"{where.name}: {report}" if report else f"{where.name}: damaged\n{report}")
    findings = [{**asdict(finding), "words": finding.words} for finding in report.findings]
    counts = dict(report.counts)
    return {
        "name": where.name,
        "sound": bool(report),
        "findings": findings,
        "total": report.total,
        "counts": counts,
    }
