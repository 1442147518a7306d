"""The recognizer, over frames of drawn people."""

from support import show, view


def test_somebody_else_in_the_same_place_is_not_taken_for_who_was_there(home_setup):
    """As when two people cross: the boxes overlap from picture to picture, the faces are not the same."""
    recognizer, *_ = home_setup
    first, second = view(101, 1)[0], view(102, 1)[0]
    pictures = [first] * 8 + [second] * 8
    seen = show(recognizer, pictures, step=0.05)
    assert [[face.name for face in faces] for faces in seen[2:8]] == [["person 1"]] * 6
    after = [face.name for faces in seen[8:] for face in faces]
    assert "person 1" not in after and after[-6:] == ["person 2"] * 6
