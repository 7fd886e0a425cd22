"""Webhooks as they go over the wire: their secrets and signatures, and posting them where they may be posted to."""
