"""`aioipc demo`: four workers count the standard library together while one after the other is killed.

    run.py        the whole course: together, alone, compare
    board.py      the shared Block            journal.py   its redo log
    worker.py     the worker processes        desk.py      what a worker does while it holds the lock
    crew.py       starts and replaces them    killer.py    kills them
    counting.py   what is counted             outcome.py, verdict.py, screens.py   what you see of it

Nothing is imported here: workers are forked from a process that should be small.
"""
