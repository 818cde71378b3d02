"""`aioipc demo lock`: four workers count together under one Lock, while one after the other is killed.

run.py        the whole course: together, alone, compare
board.py      the shared Block            journal.py   its redo log
worker.py     the worker processes        desk.py      what a worker does while it holds the lock
killer.py     kills them                  frames.py, outcome.py   what you see of it
"""
