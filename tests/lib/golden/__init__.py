"""Replays recorded requests and judges a server by the recorded answers of real Tarantool.

value.py   MsgPack values in a form whose equality is exactly the one we mean
packet.py  replies: decoding, and putting away what differs from run to run
judge.py   the verdict on one case
known.py   differences that have a reason
tidy.py    brings the system spaces back to how they were
replay.py  runs cases over the wire
"""
