"""Push sound, take frames: sessions, the live and the blocking interface, and mp4 files."""
