import pytest

from engine.errors import EncoderMismatch
from engine.templates.provenance import Provenance, require_same

OURS = Provenance("dlib-resnet", "a" * 64, 128, True, "5-point", None, 0.425)


def test_metadata_round_trip() -> None:
    metadata = OURS.to_metadata()
    assert Provenance.from_json(metadata["onek.provenance"]) == OURS
    for text in ("", "[]", '{"encoder": "x"}', '{"encoder": "x", "fingerprint": null, "dim": 3, "colour": 1}'):
        with pytest.raises(ValueError, match="."):
            Provenance.from_json(text)


def test_what_may_be_compared() -> None:
    require_same(OURS, OURS, "g", "p")
    require_same(OURS, Provenance.foreign(128), "g", "p")
    with pytest.raises(
        EncoderMismatch, match=r"g holds 128 dimensions, p 64: g was made by dlib-resnet .*, p by an encoder that is not"
    ):
        require_same(OURS, Provenance.foreign(64), "g", "p")
    with pytest.raises(EncoderMismatch, match=r"g was made by dlib-resnet .* mirror average, .*p by pixels"):
        require_same(OURS, Provenance("pixels", "b" * 64, 128), "g", "p")
