#!/usr/bin/env python3
"""The check of histories finds what it is for. Needs no root and no programs."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from history import Register  # noqa: E402


def register(*steps):
    """steps: (client, "invoke" | how, what, value)."""
    made, running = Register("r"), {}
    for client, how, what, value in steps:
        if how == "invoke":
            running[client] = made.begin(client, what, value)
        else:
            made.end(running.pop(client), how, value)
    return made


def whole(client, what, value, how="ok"):
    return (client, "invoke", what, None if what == "read" else value), (client, how, what, value)


CREATED = whole(0, "write", 0)


class Histories(unittest.TestCase):
    def assert_wrong(self, text, *steps):
        self.assertIn(text, "\n".join(register(*steps).problems()))

    def assert_right(self, *steps):
        self.assertEqual(register(*steps).problems(), [])

    def test_a_plain_history_is_right(self):
        self.assert_right(*whole(1, "read", None), *CREATED, *whole(0, "cas", [0, 1]), *whole(1, "read", 1), *whole(1, "cas", [0, 2], "fail"))

    def test_a_stale_read_is_found(self):
        self.assert_wrong("is older than", *CREATED, *whole(0, "cas", [0, 1]), *whole(1, "read", 0))
        self.assert_wrong("is older than", *CREATED, *whole(1, "read", None))
        self.assert_wrong("is older than", *CREATED, (0, "invoke", "cas", [0, 1]), *whole(1, "read", 1), *whole(2, "read", 0), (0, "ok", "cas", None))

    def test_either_value_may_be_read_while_a_write_is_under_way(self):
        self.assert_right(*CREATED, (0, "invoke", "cas", [0, 1]), *whole(1, "read", 0), *whole(1, "read", 1), (0, "ok", "cas", None))

    def test_a_lost_write_is_found(self):
        self.assert_wrong("is older than", *CREATED, *whole(0, "cas", [0, 1]), *whole(1, "cas", [1, 2]), *whole(2, "read", 1))
        self.assert_wrong("both replaced 0", *CREATED, *whole(0, "cas", [0, 1]), *whole(1, "cas", [0, 2]))
        self.assert_wrong("not in the chain", *CREATED, *whole(0, "read", 7))

    def test_a_write_without_an_answer_may_have_happened_or_not(self):
        self.assert_right(*CREATED, (0, "invoke", "cas", [0, 1]), (0, "info", "cas", "timeout"), *whole(1, "read", 0), *whole(1, "read", 1))
        self.assert_right(*CREATED, (0, "invoke", "cas", [0, 1]), (0, "info", "cas", "timeout"), *whole(1, "cas", [0, 2]), *whole(1, "read", 2))
        self.assert_wrong("is older than", *CREATED, (0, "invoke", "cas", [0, 1]), (0, "info", "cas", "timeout"), *whole(1, "read", 1), *whole(1, "read", 0))

    def test_a_refusal_without_a_reason_is_found(self):
        self.assert_wrong("nothing had replaced 0", *CREATED, *whole(1, "cas", [0, 1], "fail"), *whole(1, "read", 0))
        self.assert_right(*CREATED, (0, "invoke", "cas", [0, 1]), (0, "info", "cas", "timeout"), *whole(1, "cas", [0, 2], "fail"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
