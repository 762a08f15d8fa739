"""Reads the tracking server, and nothing else: tables and their statistics."""
