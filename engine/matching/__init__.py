"""From a probe's template to scored identities.

The steps of a search, and what each one gives:

    Neighbours    indexes.base                   the nearest templates
    Nearest       matching.nearest_identities    the nearest identities: of each, its nearest template
    Candidates    matching.scoring               the identities with the best scores
    Found         answers.snapshot               the same, with names and template ids
    a table       answers.results                the same, with the decision at a threshold: an identity, or unknown
"""
