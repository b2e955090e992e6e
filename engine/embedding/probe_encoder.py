"""The encoder that a gallery was made with: found by what the gallery says of it and what its user names, and loaded once."""

from functools import partial
from typing import TYPE_CHECKING

from engine.arrays.shapes import Cube, Window
from engine.common.locks import ThreadLock
from engine.embedding.named_by_user import Named
from engine.errors import EncoderMismatch
from engine.faces.chip import ALIGNMENT, CROP_ALIGNMENT
from engine.templates.provenance import Provenance, require_same

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder
    from engine.encoders import Encoder

# What makes templates of photographs is imported where photographs are met: a question about vectors does without OpenCV.


class ProbeEncoder:
    """Makes embedders whose templates are made as a gallery's are; `gallery` is its name in messages."""

    def __init__(self, gallery: object) -> None:
        self._gallery = gallery
        # Those that photographs were embedded with, by what they were loaded with.
        self._encoders: dict[tuple[object, ...], Encoder] = {}
        self._loading = ThreadLock()
        # What the user named to load them from.
        self._named = Named()

    def embedder(
        self,
        made: Provenance,
        faces: str | None = None,
        named: Named = Named(),  # noqa: B008 - it never changes
        *,
        runtime: str | None = None,
        photographs: int | None = None,
    ) -> "Embedder":
        """An embedder that makes probes as the gallery's templates were `made`. What was `named` once counts from then on.

        Args:
            made: how the gallery's templates were made.
            faces: `largest`, `all` or `none`; by default `none` if the gallery was made of face crops, else `largest`.
            named: the files that the user named; no other file is loaded.
            runtime: what runs the encoder, as for `load_encoder`.
            photographs: how many there are to embed, as for `load_encoder`.

        Raises:
            EncoderMismatch: nothing is known of the gallery's encoder, or the one found is another; names both. Or the gallery
                names a file and nobody else did; says which.
        """
        from engine.embedding.embedder import Embedder
        from engine.encoders import runtimes_for

        if made.encoder is None:
            raise EncoderMismatch(
                f"{self._gallery} was built from vectors by an encoder that is not named, "
                "so it takes vectors as probes, no photographs"
            )
        if made.alignment not in (ALIGNMENT, CROP_ALIGNMENT, Window.alignment, Cube.alignment):
            raise EncoderMismatch(
                f"{self._gallery} was made by {made}; this onek finds and aligns faces otherwise ({ALIGNMENT}), so that it "
                "answers vectors, but no photographs. Make it anew of its photographs: onek embed, then onek build-index"
            )
        faces = faces or ("none" if made.alignment == CROP_ALIGNMENT else "largest")
        named = named.over(self._named)
        load = self._loader(made, named, runtime, photographs)
        # How many photographs there are matters only for the runtime that it means.
        key = (
            *load.args,
            load.keywords["weights"],
            load.keywords["projection"],
            runtimes_for(load.args[0], runtime, photographs),
        )
        with self._loading:
            if key not in self._encoders:
                self._encoders[key] = load()
        embedder = Embedder(self._encoders[key], faces)
        require_same(made, embedder.provenance, str(self._gallery), "the probe photographs")
        self._named = named
        return embedder

    def loader(self, made: Provenance, runtime: str | None = None, photographs: int | None = None) -> "partial[Encoder]":
        """A function that loads the encoder of the last `embedder`, here or in another process."""
        return self._loader(made, self._named, runtime, photographs)

    def _loader(self, made: Provenance, named: Named, runtime: str | None, photographs: int | None) -> "partial[Encoder]":
        from engine.encoders import load_encoder

        found = named.loadable(made, self._gallery)
        return partial(
            load_encoder,
            found.encoder or "",
            flip=made.flip,
            weights=found.weights,
            projection=found.projection,
            runtime=runtime,
            photographs=photographs,
        )
