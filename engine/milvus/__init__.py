"""Galleries in Milvus: it keeps the templates and finds candidates, the engine scores and decides."""
