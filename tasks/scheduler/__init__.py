"""The scheduler: asks for the declared tasks when their slots come, each slot once."""
