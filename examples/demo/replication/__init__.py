"""The logical changes of a SQLite database, on their way to three replicas.

source.py    the database of the primary, and the triggers that write changes
primary.py   the primary's process: spool, slots, sessions, commit waits
wire.py      the protocol between primary and replicas
replica.py   a replica in Python
replica.c    the same in C
replica.cpp  the same in C++
compare.py   databases and spools against each other
story.py     starts, kills and restarts all of them, and checks the end
"""
