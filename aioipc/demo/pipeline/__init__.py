"""`aioipc demo pipeline`: one producer, a bounded Queue, three consumers, one killed every 200 ms.

run.py        the whole course: together, alone, compare
belt.py       what they share: the Queue of files, the SharedDict of results
producer.py   puts every file            consumer.py   leases, counts, writes one entry for each file
killer.py     kills consumers            frames.py, outcome.py   what you see of it
"""
