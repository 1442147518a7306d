"""Asks a person for a few poses, one after the other, and tells when the head is in one of them.

Five views that differ a little teach a gallery more than fifty of one. Every pose is measured from the
person's own look at the camera: a laptop's camera sees everybody from below, and noses differ.
"""

from utils.faces.quality import Pose

# What the person is asked, in this order; left and right are the person's own.
ASKS = {
    "front": "look at the camera",
    "left": "turn a little to your left",
    "right": "turn a little to your right",
    "up": "lift your chin a little",
    "down": "lower your chin a little",
}
FRONT_YAW, FRONT_ROLL = 12, 15  # degrees from the camera, and of leaning, that still count as a look at it
MIN_TURN, MAX_TURN = 8, 30  # degrees of yaw from the first look; farther, a face loses its features
MIN_NOD, MAX_NOD = 6, 25  # degrees of pitch, which landmarks show less well
STEADY = 3  # frames in a row that must show a pose: one may be noise
PATIENCE = 12.0  # seconds after which a pose is not asked for any more


class Guide:
    """The poses that were taken and the one that is asked for. progress: share that is done, 0-1."""

    def __init__(self):
        self.taken: list[tuple[str, Pose]] = []
        self.skipped: set[str] = set()
        self._seen: tuple[str | None, int] = (None, 0)
        self._asked_since: float | None = None
        self._farther = False  # whether the pose that is asked for was seen, and too like what is saved

    @property
    def missing(self) -> list[str]:
        """The poses that are still to be taken, the one that is asked for first."""
        done = {kind for kind, _ in self.taken} | self.skipped
        return [kind for kind in ASKS if kind not in done]

    @property
    def done(self) -> bool:
        return not self.missing

    @property
    def progress(self) -> float:
        return 1 - len(self.missing) / len(ASKS)

    @property
    def ask(self) -> str:
        """What to tell the person: which of how many, and what to do."""
        number = len(ASKS) - len(self.missing)
        if self.done:
            return f"{len(self.taken)} of {len(ASKS)} poses: that is it"
        farther = ", farther than now" if self._farther else ""
        return f"{number + 1} of {len(ASKS)} – {ASKS[self.missing[0]]}{farther}"

    @property
    def summary(self) -> str:
        """How many poses were taken, and which were not, given up or never reached."""
        taken = [kind for kind, _ in self.taken]
        missing = [kind for kind in ASKS if kind not in taken]
        return f"{len(taken)} of {len(ASKS)} poses" + (f"; missing: {', '.join(missing)}" if missing else "")

    def accepts(self, pose: Pose | None, now: float, alike: bool = False) -> bool:
        """Whether a head, of which each frame's pose is told (None: no good face), is in a missing pose.

        now: seconds of the source. alike: the face looks too much like one that is saved. Any missing pose
        will do, whichever is asked for; a pose that is not seen for PATIENCE seconds is given up.
        """
        self._asked_since = now if self._asked_since is None else self._asked_since
        if self.taken and self.missing and now - self._asked_since > PATIENCE:
            self.skipped.add(self.missing[0])
            self._asked_since, self._farther = now, False
        kind = self.kind(pose) if pose else None
        if alike:
            if self.taken and not self._farther and kind in self.missing[:1]:
                self._farther, self._asked_since = True, now  # which is another thing to ask for
            kind = None
        last, count = self._seen
        self._seen = (kind, count + 1 if kind == last else 1)
        return kind is not None and self._seen[1] >= STEADY

    def kind(self, pose: Pose) -> str | None:
        """Which of the missing poses a head is in."""
        if not self.taken:
            return "front" if abs(pose.yaw) < FRONT_YAW and abs(pose.roll) < FRONT_ROLL else None
        yaw, pitch = (value - first for value, first in zip(pose[:2], self.taken[0][1][:2], strict=True))
        # A nod moves yaw little, a turn may move pitch: who turns is judged by that alone.
        if MIN_TURN <= abs(yaw) <= MAX_TURN:
            kind = "left" if yaw > 0 else "right"  # the picture's right is the person's left
        elif abs(yaw) < MIN_TURN and MIN_NOD <= abs(pitch) <= MAX_NOD:
            kind = "up" if pitch > 0 else "down"
        else:
            return None
        return kind if kind in self.missing else None

    def record(self, pose: Pose) -> None:
        """Tell that a face in this pose was saved."""
        kind = self.kind(pose)
        if kind:
            self.taken.append((kind, pose))
        self._asked_since, self._seen, self._farther = None, (None, 0), False

    def undo_last(self) -> None:
        """Tell that the last face was not wanted: its pose is asked for again."""
        if self.taken:
            self.taken.pop()
        self._asked_since, self._farther = None, False
