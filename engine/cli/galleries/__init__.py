"""The commands for a gallery that exists: what it holds, who joins and leaves, its calibration, its care."""
