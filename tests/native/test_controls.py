"""Negative controls: a core whose log is broken on purpose must fail the sweeps that a sound one passes.

Each `AIPC_BREAK_...` is one branch of `aipc_tx_set` in journal.h.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.c_programs import CORE, NATIVE, VARIANTS, Workshop, run
from tests.support.leaks import FEW, Snapshot, remove_entries

Fails = Callable[..., str]
HEAP = sorted(CORE.glob("heap*.c"))


@pytest.fixture(autouse=True)
def what_broken_builds_leave_is_removed() -> Iterator[None]:
    before = Snapshot.take()
    yield
    remove_entries(before.leaked_since(FEW))


@pytest.fixture
def fails(workshop: Workshop, tmp_path: Path) -> Callable[..., str]:
    """`fails(program, variant, {file: text})` runs a C test with other text for itself or for files
    of the core, and returns what it says when it fails."""

    def fails(program: str, variant: str, texts: Mapping[str, str], **environment: str) -> str:
        paths = {name: tmp_path / name for name in texts}
        for name, path in paths.items():
            path.write_text(texts[name])
        source = paths.get(f"{program}.c", NATIVE / f"{program}.c")
        instead = {name: path for name, path in paths.items() if path != source}
        done = run(workshop.program(source, *VARIANTS[variant], instead=instead), **environment)
        assert done.returncode == 1, "it does not fail"
        return done.stderr

    return fails


def unlogged(broken: str, *paths: Path) -> dict[str, str]:
    """Files that log as they should not."""
    return {path.name: f'#define AIPC_BREAK_{broken}\n#include "{path}"\n' for path in paths}


def replaced(file: str, sound: str, broken: str) -> dict[str, str]:
    """One file of the core with one place replaced."""
    text = (CORE / file).read_text()
    assert sound in text
    return {file: text.replace(sound, broken, 1)}


@pytest.mark.parametrize("broken", ["NO_LOG", "ORDER"])
def test_the_crash_sweep_finds_a_broken_log(fails: Fails, broken: str) -> None:
    texts = unlogged(broken, *HEAP)
    assert "death at point" in fails("test_heap_crash", "hook", texts)


@pytest.mark.parametrize("broken", ["NO_LOG", "ORDER", "PLAIN_STORES"])
def test_the_instruction_sweep_finds_a_broken_log(fails: Fails, broken: str) -> None:
    texts = unlogged(broken, *HEAP, NATIVE / "test_heap_step.c")
    assert "death after instruction" in fails("test_heap_step", "plain", texts)


def test_the_soak_finds_that_there_is_no_log(fails: Fails) -> None:
    texts = unlogged("NO_LOG", *HEAP)
    assert "[kill " in fails(
        "test_soak", "plain", texts, AIPC_TEST_FULL="1"
    )  # it ends with the first thing found


@pytest.mark.slow
def test_the_long_soak_finds_a_log_written_too_late(fails: Fails) -> None:
    assert "[kill " in fails("stress_soak", "plain", unlogged("ORDER", *HEAP))


@pytest.mark.parametrize(
    ("file", "sound", "broken", "program"),
    [
        ("line.c", "(void)aipc_exchange_seq_cst32(&line->asleep, 1);", "", "test_queue_explore"),
        ("line.c", "if (w->left == 0) return AIPC_OK;", "if (w->left == 0) break;", "test_queue_explore"),
        (
            "queue.c",
            "if (aipc_line_asleep(line) && usable_by_next(queue, role))",
            "if (false)",
            "test_queue_explore",
        ),
        ("semaphore.c", "(void)aipc_line_wake(ctx, &s->line, 1);", ";", "test_sync_explore"),
        pytest.param(
            "semaphore.c",
            "value <= reserved",
            "value == 0 || reserved != 0",
            "test_sync_explore",
            marks=pytest.mark.slow,
        ),
        (
            "line.c",
            "if (ordered && withdrawn(head)) (void)aipc_exchange_seq_cst32(&line->ordered, 0);",
            "",
            "test_sync_explore",
        ),
        (
            "heap_free.c",
            '#include "room.h"',
            '#include "room.h"\nstatic bool early;\n'
            "#define open_heap(ctx, v) "
            "(early = aipc_line_asleep(&(ctx)->seg->heap->line), open_heap(ctx, v))\n"
            "#define aipc_room_made(ctx) (early ? aipc_room_wake(ctx) : (void)0)",
            "test_room_explore",
        ),
        ("room.c", "aipc_room_made(ctx); /* it may be the next one's turn */", "", "test_room_explore"),
        ("room.c", "if (number == AIPC_NO_NODE) (void)", "(void)", "test_room_explore"),
    ],
    ids=[
        "not asleep",
        "all awake",
        "not passed on",
        "permits kept",
        "stopped head",
        "withdrawn head",
        "looked before freeing",
        "next not told",
        "asleep forgotten",
    ],
)
def test_the_explorer_finds_a_lost_wake_up(
    fails: Fails, file: str, sound: str, broken: str, program: str
) -> None:
    assert "deadlock violated" in fails(program, "hook", replaced(file, sound, broken))


@pytest.mark.parametrize(
    ("file", "sound", "broken", "program", "finding"),
    [
        (
            "waiters.c",
            "return aipc_wait_give(tx, from, heir, queue, AIPC_GOT_TOKEN, target);",
            "return AIPC_OK;",
            "test_condition_explore",
            "deadlock violated",
        ),
        (
            "condition.c",
            "aipc_wait_rouse(seg); /* a token",
            "/* a token",
            "test_condition_explore",
            "deadlock violated",
        ),
        (
            "waiters.c",
            "aipc_tx_set32(tx, &node->got, got);",
            "aipc_store_relaxed32(&node->got, got);",
            "test_condition_deaths",
            "death at point",
        ),
        (
            "barrier.c",
            "aipc_status status = settle(seg, b, rings);\n    leave",
            "aipc_status status = AIPC_OK;\n    leave",
            "test_barrier_explore",
            "deadlock violated",
        ),
        (
            "pool.c",
            "return aipc_cas_seq_cst64(at, word, node->word) ? AIPC_OK : AIPC_INVALID;",
            "aipc_store_release64(at, node->word);\n    return AIPC_OK;",
            "test_pool_explore",
            "who_frees_second_is_told",
        ),
        (
            "pool.c",
            "aipc_tx_set(&tx, at, node->word);",
            "aipc_store_release64(at, node->word);",
            "test_pool_crash",
            "death at point",
        ),
    ],
    ids=[
        "token kept",
        "in silence",
        "token not logged",
        "nobody told",
        "node freed by both",
        "node taken without a log",
    ],
)
def test_what_is_broken_on_purpose_is_found(
    fails: Fails, file: str, sound: str, broken: str, program: str, finding: str
) -> None:
    assert finding in fails(program, "hook", replaced(file, sound, broken))


@pytest.mark.parametrize(
    ("file", "sound", "broken", "program", "finding"),
    [
        (
            "names.c",
            "status == AIPC_NOT_FOUND && aipc_load_seq_cst64(&seg->catalog->epoch) != epoch",
            "false",
            "test_pending_explore",
            "property violated",
        ),
        (
            "names.c",
            "if (aipc_load_seq_cst64(&object->state) != state) return AIPC_AGAIN;",
            "",
            "test_pending_explore",
            "property violated",
        ),
        (
            "pending.c",
            "    for (bool left = true; left;) {",
            "    if (end) close_block(ctx->seg, slot);\n    for (bool left = true; left;) {",
            "test_pending_crash",
            "",
        ),
        (
            "recovery.c",
            "status = aipc_block_settle(ctx, slot_index);",
            "status = AIPC_OK;",
            "test_pending_crash",
            "death at point",
        ),
        (
            "order.c",
            "aipc_tx_set(tx, links[level], object);",
            "aipc_store_release64(links[level], object);",
            "test_pending_crash",
            "death at point",
        ),
    ],
    ids=["epoch unchecked", "state unchecked", "too early", "not settled", "order not logged"],
)
def test_broken_atomic_blocks_are_found(
    fails: Fails, file: str, sound: str, broken: str, program: str, finding: str
) -> None:
    assert finding in fails(program, "hook", replaced(file, sound, broken))


@pytest.mark.parametrize(
    ("sound", "broken", "program", "finding"),
    [
        (
            "aipc_tx_set32(tx, &it->object->shares, shares - 1);",
            "aipc_store_relaxed32(&it->object->shares, shares - 1);",
            "test_shares_crash",
            "death at point",
        ),
        (
            "!aipc_living_at(seg, ref->object, &now) || now.ref.serial != ref->serial",
            "!aipc_living_at(seg, ref->object, &now) && now.ref.serial != ref->serial",
            "test_shares_explore",
            "property violated",
        ),
    ],
    ids=["count not logged", "end not looked for"],
)
def test_counts_that_drift_are_found(
    fails: Fails, sound: str, broken: str, program: str, finding: str
) -> None:
    assert finding in fails(program, "hook", replaced("shares.c", sound, broken))
