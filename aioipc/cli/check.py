"""`aioipc check NAME`."""

import sys
from dataclasses import asdict

import click

from aioipc import CorruptSegmentError, Report

from .look import any_owner_option, opened
from .output import json_option, print_json

__all__ = ["check"]


@click.command()
@click.argument("name")
@any_owner_option
@json_option
def check(name: str, any_owner: bool, as_json: bool) -> None:
    """Walk everything in a segment and report every contradiction.

    Exits with 1 when there is one.  Recovers what killed processes left first; others wait for the walk.
    """
    try:
        with opened(name, any_owner) as segment:
            report = segment.check_sanity()
    except CorruptSegmentError as error:
        _too_damaged(name, error, as_json)
    else:
        _show(name, report, as_json)


def _show(name: str, report: Report, as_json: bool) -> None:
    if as_json:
        findings = [asdict(finding) for finding in report.findings]
        print_json(
            {"name": name, "sound": bool(report), "findings": findings, "total": report.total}
            | {"counts": dict(report.counts)}
        )
    else:
        click.echo(f"{name}: {report}" if report else f"{name}: damaged\n{report}")
    sys.exit(0 if report else 1)


def _too_damaged(name: str, error: CorruptSegmentError, as_json: bool) -> None:
    """Damaged so much that it cannot be opened: that is the finding."""
    if as_json:
        finding = {
            "what": error.what,
            "offset": error.offset,
            "found": error.found,
            "expected": error.expected,
        }
        print_json({"name": name, "sound": False, "findings": [finding], "total": 1, "counts": {}})
    else:
        click.echo(f"{name}: damaged\n{error}")
    sys.exit(1)
