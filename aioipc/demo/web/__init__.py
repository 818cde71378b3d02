"""`aioipc demo web`: uvicorn workers that share a cache of pages, one killed while it computes one.

run.py        the whole course
cache.py      the shared cache: a SharedDict, and Locks so that each page is computed once
pages.py      what is computed           app.py       the ASGI application, and a worker that serves it
client.py     loads it                   killer.py    kills workers
frames.py, outcome.py   what you see of it
"""
