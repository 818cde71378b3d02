"""`aioipc demo`: real programs on shared memory, whose processes are killed while they work.

    web/          a uvicorn server whose workers share a cache of pages
    pipeline/     one producer, a Queue, three consumers that lease, a SharedDict of results
    lock/         four workers that count together under one Lock

and what they have in common:

    crew.py       worker processes that are replaced when they are killed
    ending.py     and go when the demo goes
    segments.py   the segment of a run, checked and looked for at the end
    stopping.py   Ctrl-C at safe places
    counting.py   lines, bytes and tokens of a file
    alone.py      the same by one process, to compare
    frame.py      progress                 screens.py    who shows it
    outcome.py    figures and promises

Nothing is imported here: workers are forked from a process that should be small.
"""
