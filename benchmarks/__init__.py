"""Every figure that the README quotes, and pictures to look at."""
