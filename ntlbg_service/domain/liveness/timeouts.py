"""How long an attempt may be silent before it counts as hung; the controller keeps the time."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds that a controller waits, each time by its own clock."""

    heartbeat: float = 300.0
    """A heartbeat that stays the same for so long is that of a process that hangs."""
    startup: float = 1800.0
    """How long an attempt may take to its first heartbeat: nodes start, models are fetched. Also
    between two trials of a sweep."""
    progress: float = 7200.0
    """Work that has begun goes on in so much time by a step or an answer: a process whose device
    or peer hangs still has a heartbeat."""
    exit_grace: float = 60.0
    """How long a process may take to end after its exit record."""

    def hung(self, still: float, idle: float, *, beats: bool, begun: bool) -> str:
        """Why an attempt counts as hung, in words; empty where it does not.

        `still` are seconds since its heartbeat changed, `idle` since it did anything; `beats`: it
        has a heartbeat that never pauses; `begun`: it has done something.
        """
        if still > (self.heartbeat if beats else self.startup):
            return f"no sign of life for {still:.0f} s"
        if begun and idle > self.progress:
            return f"alive, but no step and no answer for {idle:.0f} s"
        return ""
