"""Movement that is not speech: head, eyes, lids and breath as curves over frames."""

from engine.motion.idle import IdleMotion, idle

__all__ = ["IdleMotion", "idle"]
