"""Where a gallery in Milvus lies, and calls to there."""
