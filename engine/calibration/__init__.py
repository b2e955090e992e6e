"""From scores to a threshold: what is known of strangers, and the rule by which anybody is accepted."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.calibration.calibration import Calibration, calibrate, calibrate_on_strangers
    from engine.calibration.evidence import Evidence, evidence_of
    from engine.calibration.summary import CalibrationInfo, RateInfo
    from engine.calibration.thresholds import (
        MatchThreshold,
        ThresholdUsed,
        accepts,
        default_threshold,
        identify_threshold,
        match_threshold,
    )

__all__ = [
    "Calibration",
    "CalibrationInfo",
    "Evidence",
    "MatchThreshold",
    "RateInfo",
    "ThresholdUsed",
    "accepts",
    "calibrate",
    "calibrate_on_strangers",
    "default_threshold",
    "evidence_of",
    "identify_threshold",
    "match_threshold",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.calibration.calibration": ("Calibration", "calibrate", "calibrate_on_strangers"),
        "engine.calibration.evidence": ("Evidence", "evidence_of"),
        "engine.calibration.summary": ("CalibrationInfo", "RateInfo"),
        "engine.calibration.thresholds": (
            "MatchThreshold",
            "ThresholdUsed",
            "accepts",
            "default_threshold",
            "identify_threshold",
            "match_threshold",
        ),
    },
)
