"""A file in a repository of the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class HubFile:
    """A file at a revision of a repository.

    Attributes:
        revision: a commit, branch or tag.
        size: in bytes; None where it is not known.
        sha256: None where it is not known, as of a small file that the Hub keeps in git itself.
    """

    repo: str
    path: str = "model.safetensors"
    kind: Literal["model", "dataset"] = "model"
    revision: str = "main"
    size: int | None = None
    sha256: str | None = None

    @property
    def url(self) -> str:
        from huggingface_hub import constants, hf_hub_url

        return hf_hub_url(
            self.repo, self.path, repo_type=self.kind, revision=self.revision, endpoint=constants.ENDPOINT
        )
