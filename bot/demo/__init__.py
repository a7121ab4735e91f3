"""The demo: a stand-in Slack, the real bot beside it, and one training job from a typed line to a loaded checkpoint."""
