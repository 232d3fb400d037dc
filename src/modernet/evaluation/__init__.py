"""Model and data -> what can be said about them."""

from modernet.evaluation.accuracy import Accuracy, evaluate_classifier
from modernet.evaluation.saved import Guess, Prediction, evaluate_saved, predict

__all__ = ["Accuracy", "Guess", "Prediction", "evaluate_classifier", "evaluate_saved", "predict"]
