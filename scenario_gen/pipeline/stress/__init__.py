"""Stages of designed stress: shocks, events, views, replays and answers to shocks."""
