"""What a service gives and bears: its speed beside the library's, an hour of kills, and requests that mean it ill."""
