"""Evaluate trained networks: metrics that accumulate, and classifiers on data sets and single images."""

from modernet.evaluation.accuracy import Accuracy, evaluate_classifier
from modernet.evaluation.class_matching import ClassMatch, match_classes
from modernet.evaluation.predicting import Guess, Prediction, check_given, predict, predict_each, stored_images
from modernet.evaluation.saved import evaluate_saved, numbered_split, saved_loader

__all__ = [
    "Accuracy",
    "ClassMatch",
    "Guess",
    "Prediction",
    "check_given",
    "evaluate_classifier",
    "evaluate_saved",
    "match_classes",
    "numbered_split",
    "predict",
    "predict_each",
    "saved_loader",
    "stored_images",
]
