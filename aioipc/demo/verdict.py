"""The figures at the end, in words."""

from collections.abc import Iterator

from .outcome import Outcome

__all__ = ["verdict"]


def verdict(outcome: Outcome) -> Iterator[str]:
    """The lines to print, with rich's markup."""
    together = outcome.together
    yield from _counted(outcome)
    yield (
        f"{together.kills} kills: the lock was found abandoned {together.recoveries} times, "
        f"{together.repairs} of them with a half-made change, which was finished"
    )
    yield "from a kill to the next holder of the lock:"
    yield "  who was waiting already:  " + _times(together.next_holder(waiting_only=True))
    yield "  all, also who came later: " + _times(together.next_holder(waiting_only=False))
    yield _verdict("totals equal the single-process run exactly", list(outcome.differences()))
    yield _verdict("check_sanity() is sound", together.findings)
    yield _verdict("nothing is left in /dev/shm", together.left_behind)


def _counted(outcome: Outcome) -> Iterator[str]:
    counters, seconds = outcome.counters(), outcome.together.seconds
    tokens = sum(number for field, number in counters.items() if field.isupper())
    yield (
        f"{outcome.files} files, {counters.get('lines', 0):,} lines, {counters.get('bytes', 0):,} bytes, "
        f"{tokens:,} tokens; {counters.get('not tokenized', 0)} files do not tokenize"
    )
    alone = outcome.alone_seconds
    yield (
        f"[bold]{outcome.files_per_second:.0f} files/s[/] ({seconds:.1f} s) by {outcome.workers} workers "
        f"under fire, {outcome.files / alone:.0f} files/s ({alone:.1f} s) by one process alone"
    )


def _times(times: dict[str, float]) -> str:
    if not times["count"]:
        return "none"
    figures = ", ".join(f"{name} {times[name]:.2f} ms" for name in ("median", "p99", "max"))
    return f"{figures} ({times['count']:.0f})"


def _verdict(promise: str, broken: list[str]) -> str:
    if not broken:
        return f"[green]✓[/] {promise}"
    return f"[bold red]✗ not true: {promise}[/]: " + "; ".join(broken)
