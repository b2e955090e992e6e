"""How vectors are searched. This package knows nothing of faces, photographs or decisions.

`indexes.base` says what an index is, `indexes.registry` which kinds there are, `indexes.errors` what they raise.
"""
