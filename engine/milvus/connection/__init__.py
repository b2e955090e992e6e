"""The address of a gallery in Milvus, and calls to the server."""
