"""From scores to a threshold: what is known of strangers, and the rule by which anybody is accepted."""
