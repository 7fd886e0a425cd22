"""People's side of schedules: what they see of them, and what they do about them."""
