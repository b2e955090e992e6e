"""What training brings, and what it takes."""
