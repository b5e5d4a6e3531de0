"""Random requests to two servers, whose answers must be the same.

values.py    what fields, keys and arguments are drawn from
request.py   a request, how its answers are compared, how it reads in a report
schema.py    draws spaces, formats and indexes, and changes them
users.py     draws users, functions and rights
requests.py  draws changes, SELECTs and malformed requests
known.py     where Debian's Tarantool 2.6 and 3.9 differ, and we follow 3.9
servers.py   runs requests on one server and cleans up after them
judge.py     compares the answers of both, and shrinks a run that shows a difference
"""
