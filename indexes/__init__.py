"""Search for the nearest of many vectors. This package knows nothing of faces, photographs or decisions.

`base` says what an index offers, `registry` lists the kinds of index, `planner` chooses one; `exact` and `approximate` hold the
kinds, `composite` combines indexes, `tuning` finds how much a search must examine for a recall, and `files` and `stored` keep an
index on disk.
"""
