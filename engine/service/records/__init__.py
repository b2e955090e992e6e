"""What a service keeps of what happened, for so many days, and no longer than the person is enrolled: events, pictures."""
