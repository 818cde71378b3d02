"""Helpers every test may use: event loops, peer processes, leak snapshots."""
