"""What was measured of the templates of known encoders, on thousands of people: tables that come with onek."""
