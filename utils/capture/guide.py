"""Asks a person for a few poses, one after another, and recognizes when the head is in one of them.

Five views that differ a little teach a gallery more than fifty of the same view. Each pose is measured
relative to the person's own frontal view, because a laptop's camera sees everybody from below and noses differ.
"""

from utils.faces.quality import Pose

# What the guide asks for, in this order. Left and right are the person's own.
PROMPTS = {
    "front": "look at the camera",
    "left": "turn a little to your left",
    "right": "turn a little to your right",
    "up": "lift your chin a little",
    "down": "lower your chin a little",
}
MAX_FRONT_YAW, MAX_FRONT_ROLL = 12, 15  # degrees away from the camera that still count as frontal
MIN_TURN, MAX_TURN = 8, 30  # degrees of yaw from the frontal view; farther away, a face loses its features
MIN_NOD, MAX_NOD = 6, 25  # degrees of pitch, which landmarks show less well
STEADY_FRAMES = 3  # frames in a row that must show a pose: a single one may be noise
GIVE_UP_SECONDS = 12.0  # after which a pose is skipped


class Guide:
    """The poses recorded so far and the one to ask for next."""

    def __init__(self):
        self.recorded: list[tuple[str, Pose]] = []
        self.skipped: set[str] = set()
        self.notice = ""  # what to tell the person about a pose that was skipped; the caller clears it
        self._last_seen: tuple[str | None, int] = (None, 0)  # a pose and for how many frames it has been seen
        self._asked_since: float | None = None
        self._ask_for_more = False  # the requested pose was seen, but looked too similar to a saved face

    @property
    def missing(self) -> list[str]:
        """The poses still to be recorded, starting with the one to ask for."""
        finished = {name for name, _ in self.recorded} | self.skipped
        return [name for name in PROMPTS if name not in finished]

    @property
    def done(self) -> bool:
        return not self.missing

    @property
    def progress(self) -> float:
        """The share of poses that are recorded or skipped, 0-1."""
        return 1 - len(self.missing) / len(PROMPTS)

    @property
    def prompt(self) -> str:
        """The message for the person: the number of the pose and what to do."""
        if self.done:
            return f"{len(self.recorded)} of {len(PROMPTS)} poses: all done"
        number = len(PROMPTS) - len(self.missing) + 1
        more = ", farther than now" if self._ask_for_more else ""
        return f"{number} of {len(PROMPTS)} – {PROMPTS[self.missing[0]]}{more}"

    @property
    def summary(self) -> str:
        """How many poses were recorded, and which were skipped or never reached."""
        recorded = [name for name, _ in self.recorded]
        missing = [name for name in PROMPTS if name not in recorded]
        return f"{len(recorded)} of {len(PROMPTS)} poses" + (f"; missing: {', '.join(missing)}" if missing else "")

    def accepts(self, pose: Pose | None, now: float, too_similar: bool = False) -> bool:
        """Take in one frame's pose. Returns True once the head has held a missing pose for STEADY_FRAMES frames.

        Any missing pose is accepted, not only the requested one. A pose not seen for GIVE_UP_SECONDS is skipped,
        with a notice; until the others are done it is still accepted.

        Args:
            pose: of the head; None if the frame has no good face.
            now: seconds since the start of the source.
            too_similar: whether the face looks too much like a saved one.
        """
        self._asked_since = now if self._asked_since is None else self._asked_since
        if self.recorded and self.missing and now - self._asked_since > GIVE_UP_SECONDS:
            name = self.missing[0]
            self.skipped.add(name)
            self.notice = f"{name} skipped: not seen for {GIVE_UP_SECONDS:g} seconds"
            self._asked_since, self._ask_for_more = now, False
        name = self.pose_name(pose) if pose else None
        if too_similar:
            if self.recorded and not self._ask_for_more and name in self.missing[:1]:
                self._ask_for_more, self._asked_since = True, now  # a new request has its own time limit
            name = None
        last_name, count = self._last_seen
        self._last_seen = (name, count + 1 if name == last_name else 1)
        return name is not None and self._last_seen[1] >= STEADY_FRAMES

    def pose_name(self, pose: Pose) -> str | None:
        """Which missing pose a head is in, if any."""
        if not self.recorded:
            return "front" if abs(pose.yaw) < MAX_FRONT_YAW and abs(pose.roll) < MAX_FRONT_ROLL else None
        front = self.recorded[0][1]
        yaw, pitch = pose.yaw - front.yaw, pose.pitch - front.pitch
        # A nod hardly changes yaw, but a turn may change pitch, so yaw is checked first.
        if MIN_TURN <= abs(yaw) <= MAX_TURN:
            name = "left" if yaw > 0 else "right"  # the image's right is the person's left
        elif abs(yaw) < MIN_TURN and MIN_NOD <= abs(pitch) <= MAX_NOD:
            name = "up" if pitch > 0 else "down"
        else:
            return None
        return name if name in self.missing or (name in self.skipped and not self._is_recorded(name)) else None

    def _is_recorded(self, name: str) -> bool:
        return any(recorded == name for recorded, _ in self.recorded)

    def record(self, pose: Pose) -> None:
        """Note that a face in this pose was saved."""
        name = self.pose_name(pose)
        if name:
            self.recorded.append((name, pose))
            self.skipped.discard(name)
        self._asked_since, self._last_seen, self._ask_for_more = None, (None, 0), False

    def undo_last(self) -> None:
        """Drop the pose recorded last, so that the guide asks for it again."""
        if self.recorded:
            self.recorded.pop()
        self._asked_since, self._ask_for_more = None, False
