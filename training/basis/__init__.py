"""The expression basis: MakeHuman's facial actions carried over to MediaPipe's 478 landmarks."""
