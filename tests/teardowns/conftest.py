from __future__ import annotations

from tests.present.conftest import no_losses, recording

__all__ = ["no_losses", "recording"]
