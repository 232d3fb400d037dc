"""The model card of a run, as the Hugging Face Hub reads it. Needs no torch."""

from modernet.report.card.card import Card, is_own_card, model_card, records_of
from modernet.report.card.metadata import metadata

__all__ = ["Card", "is_own_card", "metadata", "model_card", "records_of"]
