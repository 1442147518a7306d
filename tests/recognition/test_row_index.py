"""The index of a large gallery: what the head scores highest, made again when it does not fit, and optional below."""

import sys

import numpy as np
import pytest
from recognition.large_galleries import make_head, make_people, pack_features

from utils.cli import InputError
from utils.recognition import row_index
from utils.recognition.row_index import load_index, make_index

PEOPLE = make_people(2000)
ALL_ROWS = np.arange(len(PEOPLE.matrix))


@pytest.mark.parametrize("measure", ["product", "cosine", "distance"])
@pytest.mark.parametrize("max_plain", [row_index.MAX_PLAIN, 1000])
def test_the_index_ranks_by_the_head_itself(measure, max_plain, monkeypatch):
    monkeypatch.setattr(row_index, "MAX_PLAIN", max_plain)
    monkeypatch.setattr(row_index, "SAMPLE", 1000)
    monkeypatch.setattr(row_index, "BLOCK", 999)
    head, probes = make_head(measure, PEOPLE), make_people(50, seed=1).matrix[:50]
    found = make_index(head, PEOPLE.matrix, ALL_ROWS).search(probes, 64 if max_plain > 1000 else 256)
    projected = head.project(PEOPLE.matrix).astype(np.float64)
    similarity = head.similarity
    scores = np.stack([similarity.scale * _measure(similarity, one, projected) for one in head.project(probes)])
    best = np.argsort(-scores, axis=1)[:, :10]
    shares = [len(set(best[face]) & set(found[face])) / 10 for face in range(50)]
    assert np.mean(shares) > 0.97 and found[0, 0] in best[0]


def _measure(similarity, probe: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What a head measures, by its definition."""
    if similarity.measure == "product":
        return rows[:, :-1] @ probe[:-1] + rows[:, -1]
    return rows @ probe if similarity.measure == "cosine" else np.linalg.norm(rows - probe, axis=1)


def test_an_index_is_stored_and_read(tmp_path, capsys):
    packed, head = pack_features(tmp_path, PEOPLE).packed, make_head("cosine", PEOPLE)
    first = load_index(packed, head, "rows", ALL_ROWS).search(PEOPLE.matrix[:9], 5)
    assert "for this head, once" in capsys.readouterr().err
    np.testing.assert_array_equal(load_index(packed, head, "rows", ALL_ROWS).search(PEOPLE.matrix[:9], 5), first)
    assert capsys.readouterr().err == ""
    assert first[:, 0].tolist() == list(range(9))
    load_index(packed, make_head("distance", PEOPLE), "rows", ALL_ROWS)
    assert "for this head, once" in capsys.readouterr().err
    assert len(list((tmp_path / "_gallery").iterdir())) == 1, "the other head's is deleted"


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:99] + b"?" + data[100:], lambda _: b""])
def test_a_damaged_index_is_made_again(tmp_path, capsys, damage):
    packed, head = pack_features(tmp_path, PEOPLE).packed, make_head("cosine", PEOPLE)
    load_index(packed, head, "rows", ALL_ROWS)
    (path,) = (tmp_path / "_gallery").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    capsys.readouterr()
    index = load_index(packed, head, "rows", ALL_ROWS)
    assert "again, because it is damaged" in capsys.readouterr().err
    assert index.search(PEOPLE.matrix[:1], 1).tolist() == [[0]]


@pytest.mark.fault
def test_an_index_that_cannot_be_stored_is_used(tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_index, "write_bytes", fail)
    packed, head = pack_features(tmp_path, PEOPLE).packed, make_head("cosine", PEOPLE)
    assert load_index(packed, head, "rows", ALL_ROWS).search(PEOPLE.matrix[:1], 1).tolist() == [[0]]
    assert "No space left" in capsys.readouterr().err


def test_without_faiss_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    packed = pack_features(tmp_path, PEOPLE).packed
    with pytest.raises(InputError, match=r"requirements-cluster\.txt"):
        load_index(packed, make_head("cosine", PEOPLE), "rows", ALL_ROWS)
