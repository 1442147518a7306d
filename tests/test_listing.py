"""What storage says of its files: times in any form, checksums, marks of folders."""

from datetime import UTC, datetime

import pytest

from utils.listing import FOLDER, Listing, Status, status_of

TIME = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


@pytest.mark.parametrize(
    "known",
    [{"LastModified": TIME}, {"updated": "2026-01-02T03:04:05.678Z"}, {"mtime": TIME.timestamp()}, {"created": TIME}],
)
def test_times_are_whole_seconds(known):
    status = status_of({"name": "a/b.png", "type": "file", "size": 3, **known})
    assert status == Status(False, 3, 1767323045 * 10**9) and status.st_mtime == 1767323045


def test_another_content_has_another_time():
    info = {"name": "a/b.png", "type": "file", "size": 3, "LastModified": TIME}
    first, second, quoted = (status_of({**info, "ETag": tag}) for tag in ("12", "34", '"12"'))
    assert first != second and first == quoted and first.st_mtime == second.st_mtime == 1767323045


def test_folders_and_their_marks():
    assert status_of({"name": "a/b", "type": "directory", "size": 0}).is_folder
    assert status_of({"name": "a/b/", "type": "file", "size": 0}).is_folder
    assert not status_of({"name": "a/b", "type": "file", "size": None}).is_folder


def test_a_listing_knows_what_is_below_its_root():
    file = Status(False, 1, 2)
    listing = Listing({}, "a/b")
    listing.add("a/b/c/d.png", file)
    assert listing.names_in("a/b") == {"c": FOLDER} and listing.names_in("a/b/c") == {"d.png": file}
    assert listing.names_in("a/b/x") == {} and listing.names_in("a") is None and listing.names_in("a/bc") is None
    assert Listing({"a": {"b": file}}).names_in("a/b") is None
