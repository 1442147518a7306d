"""Work ahead of the caller: order, errors and early ends."""

import pytest

from utils.cli import InputError
from utils.threads import read_ahead


def test_reading_ahead_keeps_order_errors_and_stops_early():
    assert list(read_ahead(range(100), ahead=3)) == list(range(100))

    def broken():
        yield 1
        raise InputError("damaged")

    items = read_ahead(broken())
    assert next(items) == 1
    with pytest.raises(InputError, match="damaged"):
        next(items)
    endless = read_ahead(iter(int, 1))
    assert next(endless) == 0
    endless.close()
