"""Chaos: everything killed at random under load, from a seed, and then the four promises checked."""
