"""Made-up hearts and solids, and how well networks of signals and volumes tell them apart."""
