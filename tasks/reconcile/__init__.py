"""Reconcile: names accepted runs that are nowhere, by what log, broker and workers say together, and repairs them."""
