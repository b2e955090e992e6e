"""A gallery made here and moved to Milvus."""
