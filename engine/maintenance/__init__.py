"""What keeps a gallery's folder whole: checks, repairs, erasure, copies."""
