"""The guide: which poses it asks for, and which it accepts."""

import pytest

from utils.capture.guide import GIVE_UP_SECONDS, STEADY_FRAMES, Guide
from utils.faces.quality import Pose


def show_pose(guide: Guide, pose: Pose | None, now: float = 0.0) -> bool:
    """Hold a pose for STEADY_FRAMES frames. Records it if it is accepted; returns whether it was."""
    accepted = [guide.accepts(pose, now) for _ in range(STEADY_FRAMES)]
    assert not any(accepted[:-1])
    if accepted[-1]:
        guide.record(pose)
    return accepted[-1]


def test_the_guide_asks_for_five_poses():
    guide = Guide()
    front, low = Pose(2.0, 12.0, 0.0), Pose(0.0, 0.0, 0.0)
    assert "look at the camera" in guide.prompt and guide.prompt.startswith("1 of 5")
    assert not show_pose(guide, Pose(20.0, 0.0, 0.0)) and not show_pose(guide, None)
    assert show_pose(guide, front)
    # All other poses are measured from this one: the camera sees this person from below.
    assert "left" in guide.prompt and not show_pose(guide, front)
    assert show_pose(guide, Pose(18.0, 12.0, 0.0)) and "right" in guide.prompt
    assert not show_pose(guide, Pose(45.0, 12.0, 0.0)) and not show_pose(guide, Pose(18.0, 12.0, 0.0))
    assert show_pose(guide, low)  # not asked for yet, but missing
    assert show_pose(guide, Pose(-16.0, 10.0, 0.0)) and "lift" in guide.prompt
    assert guide.progress == pytest.approx(0.8) and not guide.done
    assert show_pose(guide, Pose(0.0, 24.0, 0.0))
    assert guide.done and guide.progress == 1 and not show_pose(guide, front) and "5 of 5" in guide.prompt
    guide.undo_last()
    assert not guide.done and "lift" in guide.prompt


def test_a_pose_must_be_held_and_is_skipped_if_it_never_comes():
    guide = Guide()
    assert not guide.accepts(Pose(0.0, 0.0, 0.0), 0.0) and not guide.accepts(None, 0.1)
    assert show_pose(guide, Pose(0.0, 0.0, 0.0), 1000.0)  # before the first pose nothing is skipped
    missing = list(guide.missing)
    guide.accepts(None, 1001.0)
    guide.accepts(None, 1002.0 + GIVE_UP_SECONDS)
    assert guide.missing == missing[1:] and guide.notice == "left skipped: not seen for 12 seconds"
    for step in range(2, 6):
        guide.accepts(None, 1000.0 + 2 * step * GIVE_UP_SECONDS)
    assert guide.done and "1 of 5" in guide.prompt
    assert guide.summary == "1 of 5 poses; missing: left, right, up, down"


def test_the_guide_asks_for_more_if_a_pose_is_too_similar():
    guide = Guide()
    assert show_pose(guide, Pose(0.0, 0.0, 0.0)) and show_pose(guide, Pose(18.0, 0.0, 0.0))
    assert not any(guide.accepts(Pose(0.0, 8.0, 0.0), 0.0, too_similar=True) for _ in range(2 * STEADY_FRAMES))
    assert guide.prompt == "3 of 5 – turn a little to your right"  # up was not asked for
    late = 0.9 * GIVE_UP_SECONDS
    assert not any(guide.accepts(Pose(-9.0, 0.0, 0.0), late, too_similar=True) for _ in range(2 * STEADY_FRAMES))
    assert guide.prompt == "3 of 5 – turn a little to your right, farther than now"
    assert show_pose(guide, Pose(-14.0, 0.0, 0.0), late + 0.9 * GIVE_UP_SECONDS)
    assert guide.prompt == "4 of 5 – lift your chin a little"


def test_a_skipped_pose_is_still_accepted():
    guide = Guide()
    show_pose(guide, Pose(0.0, 0.0, 0.0))
    guide.accepts(None, 1.0)
    guide.accepts(None, 2.0 + GIVE_UP_SECONDS)
    assert "left" not in guide.missing
    assert show_pose(guide, Pose(18.0, 0.0, 0.0), 3.0 + GIVE_UP_SECONDS)
    assert not guide.skipped and guide.progress == pytest.approx(0.4)
    assert not show_pose(guide, Pose(18.0, 0.0, 0.0), 4.0 + GIVE_UP_SECONDS)  # once is enough
