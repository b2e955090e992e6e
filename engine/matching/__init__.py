"""From a probe's template to scored identities.

The steps of a search, and what each one gives:

    Neighbours         indexes.base                   the nearest templates
    NearestIdentities  matching.nearest_identities    the nearest identities: of each, its nearest template
    Candidates         matching.scoring               the identities that probes may be
    FoundCandidates    answers.snapshot               the same, with names and template ids
    a table            answers.results                the same, with the decision at a threshold: an identity, or unknown
"""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.matching.members import Members
    from engine.matching.nearest_identities import NearestIdentities
    from engine.matching.pair_verifier import PairVerifier, read_pair_verifier
    from engine.matching.scoring import Candidates, Scoring, SearchableGallery

__all__ = ["Candidates", "Members", "NearestIdentities", "PairVerifier", "Scoring", "SearchableGallery", "read_pair_verifier"]

__getattr__ = late_names(
    __name__,
    {
        "engine.matching.members": ("Members",),
        "engine.matching.nearest_identities": ("NearestIdentities",),
        "engine.matching.pair_verifier": ("PairVerifier", "read_pair_verifier"),
        "engine.matching.scoring": ("Candidates", "Scoring", "SearchableGallery"),
    },
)
