"""The page at `/`: one HTML, one script, one style sheet, one file of texts, and nothing from elsewhere."""
