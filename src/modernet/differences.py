"""Differences between networks that were trained with several seeds, and groups that cannot be told apart.

Networks are tested on the same images, so images are paired; their seeds have nothing in common, so seeds are not. Both
are samples: the images, of those that could have been tested, and the seeds, of trainings that could have been run. A
difference varies by more than either alone, and trainings differ by enough to change an order (Bouthillier et al.,
"Accounting for variance in machine learning benchmarks", MLSys 2021).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modernet.statistics import CONFIDENCE, Interval, paired_interval, student_margin, wilson_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

POWER = 0.8
"""The chance to show a difference that is there, by which `seeds_to_settle` plans."""
LEVEL = 1 - CONFIDENCE
_MOST_SEEDS = 2**30
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Variances:
    """What a difference of two networks varies by: the components of its variance.

    Attributes:
        images: between images, of the difference of both networks on an image, whatever the seeds.
        seeds: between seeds, of a network's mean over endless images; one for each network.
        residual: what is left of one answer: each seed errs on other images; the sum over both networks.
        n: test images; 0 if the images are not known, and `seeds` has all that varies.
    """

    images: float
    seeds: tuple[float, float]
    residual: float
    n: int


@dataclass(frozen=True)
class Difference:
    """The first network's mean score minus the second's.

    Attributes:
        mean: of the scores as given: shares of 1 from `crossed_difference`.
        interval: its confidence interval; None if nothing says how much it varies.
        p: of the test that there is no difference, two-sided; None likewise.
        variances: the components behind it; None if there are not enough seeds to estimate them.
    """

    mean: float
    interval: Interval | None
    p: float | None
    variances: Variances | None


def crossed_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """Return the difference of two networks that were tested on the same images, over images and seeds.

    With y the answer (1 right, 0 wrong) of seed s for image i, each network has y = mean + image + seed + residual, all
    random. Images are shared and seeds are not, so for the difference D of the means

        Var(D) = Var(d) / n + Σ_networks max(B − R, 0) / (n S)

    with d the difference of both networks' means over seeds on an image, B the mean square between the seeds of a
    network and R that of its residual. Var(d) and B both contain the residual, so R is subtracted once; where seeds
    differ by less than the residual explains, they count as equal. Student's quantile has Satterthwaite's degrees of
    freedom over these mean squares. A network with a single seed is taken to vary over seeds as the other does.

    The interval is of the difference between both networks for images like these, over all seeds: it contains the
    luck of the test images and that of training. It says nothing of other data, recipes, or draws of the training
    images. With one seed each it has the images only (Newcombe's interval and McNemar's exact test): it compares two
    trained networks. So it does if no answer varies, where variances would claim certainty.

    Args:
        first, second: right (1) or wrong (0), (seeds, images); the same images in the same order.

    Raises:
        ValueError: the images differ in number, or there are none.

    Sources: Owen, "The pigeonhole bootstrap", The Annals of Applied Statistics 1 (2007), on means over two crossed
    samples; Searle, Casella and McCulloch, "Variance components", 1992, on the mean squares; Satterthwaite, "An
    approximate distribution of estimates of variance components", Biometrics Bulletin 2 (1946).
    """
    import numpy as np

    a, b = (np.asarray(answers, dtype=np.float64) for answers in (first, second))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"answers of {a.shape} and {b.shape} are not (seeds, images) for the same images")
    n = a.shape[1]
    both = (a, b)
    if max(len(a), len(b)) == 1 or n == 1:
        return _of_two_trainings(a[0], b[0])
    squares = [_mean_squares(answers) if len(answers) > 1 else None for answers in both]
    chosen = [own or other for own, other in zip(squares, squares[::-1], strict=True)]
    by_image = a.mean(axis=0) - b.mean(axis=0)
    over_images = float(by_image.var(ddof=1))
    terms = [(over_images / n, n - 1.0)]
    for found, answers in zip(squares, both, strict=True):
        if found is None:
            continue
        share = sum(1 / len(each) for each, used in zip(both, chosen, strict=True) if used is found)
        terms += _seed_terms(*found, len(answers), n, share)
    if sum(value for value, _ in terms) <= 0:
        return _of_two_trainings(a[0], b[0])
    mean = float(by_image.mean())
    seeds, left = [], []
    for used in chosen:
        assert used is not None
        seeds.append(max(used[0] - used[1], 0.0) / n)
        left.append(used[1])
    explained = sum(residual / len(answers) for residual, answers in zip(left, both, strict=True))
    variances = Variances(max(over_images - explained, 0.0), (seeds[0], seeds[1]), sum(left), n)
    return _judged(mean, terms, variances)


def crossed_mean(answers: ArrayLike) -> Interval:
    """Return the interval of a network's share of right answers, over images and seeds; all in [0, 1].

    The variance of the mean has the terms that `crossed_difference` has for two networks,

        Var(mean) = Var(m) / n + max(B − R, 0) / (n S)

    with m the share of seeds that are right on an image, and Satterthwaite's degrees of freedom. So two seeds that
    differ by no more than their residuals explain are no sign that trainings differ. The interval is Wilson's, for as
    many independent images as have this variance, and with Student's quantile in place of the normal one. With a single
    seed it is Wilson's for the images.

    With two or three seeds it covers the truth less often than promised where trainings differ by far more than images
    do: 88 to 93 % in simulations with a standard deviation of 7 points between seeds.

    Args:
        answers: right (1) or wrong (0), (seeds, images).

    Raises:
        ValueError: there are none.

    Source: Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data", Survey Methodology 24 (1998), on the number of images; with Wilson's interval as in
    Franco et al., "Comparative study of confidence intervals for proportions in complex sample surveys", Journal of
    Survey Statistics and Methodology 7 (2019).
    """
    import numpy as np

    y = np.asarray(answers, dtype=np.float64)
    if y.ndim != 2 or 0 in y.shape:
        raise ValueError(f"answers of {y.shape} are not (seeds, images)")
    seeds, n = y.shape
    mean = float(y.mean())
    if seeds == 1 or n == 1:
        return wilson_interval(mean, n)
    terms = [(float(y.mean(axis=0).var(ddof=1)) / n, n - 1.0), *_seed_terms(*_mean_squares(y), seeds, n, 1 / seeds)]
    error, freedom = _error(terms)
    if error == 0:
        return wilson_interval(mean, n)
    # student_margin(1, freedom) is Student's quantile, and at endless degrees of freedom the normal one
    quantiles = student_margin(1.0, math.inf) / student_margin(1.0, freedom)
    return wilson_interval(mean, mean * (1 - mean) / error**2 * quantiles**2)


def welch_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the difference of two networks' scores over seeds, as `modernet.statistics.welch_interval` does, with p.

    It is for scores that are not means over images, such as average precision. Its interval has the seeds only.

    Args:
        first, second: one score per seed.
    """
    import statistics

    mean = statistics.fmean(first) - statistics.fmean(second)
    if len(first) < 2 or len(second) < 2:
        return Difference(mean, None, None, None)
    varies = statistics.variance(first), statistics.variance(second)
    if not any(varies):
        return Difference(mean, None, None, None)
    terms = [(each / len(side), len(side) - 1.0) for each, side in zip(varies, (first, second), strict=True)]
    return _judged(mean, terms, Variances(0.0, varies, 0.0, 0))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p of two networks' answers for the same images: that of a fair coin.

    Args:
        only_first, only_second: images that only this network got right.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947); exact by the binomial distribution.
    """
    from scipy.special import bdtr

    tosses = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), tosses, 0.5))) if tosses else 1.0


def seeds_to_settle(difference: Difference, level: float = LEVEL) -> int | None:
    """Return how many seeds each network needs for this difference to be shown with a chance of `POWER`.

    It takes the observed difference and its variances for the true ones, which they are not: an order of magnitude.

    Args:
        level: of the test, such as that of Holm's for a pair among many.

    Returns:
        None if no number of seeds is enough, as the test images are too few (`images_to_settle`) or there is no
        difference; also if the variances are unknown.
    """
    variances, gap = difference.variances, abs(difference.mean)
    if variances is None or gap == 0:
        return None

    def shown(seeds: int) -> bool:
        terms = [(each / seeds, seeds - 1.0) for each in variances.seeds]
        if variances.n:
            terms.append(((variances.images + variances.residual / seeds) / variances.n, variances.n - 1.0))
        error, freedom = _error(terms)
        return error == 0 or gap >= _detectable(freedom, level) * error

    high = 2
    while not shown(high):
        high *= 2
        if high > _MOST_SEEDS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return max(high, 2)


def images_to_settle(difference: Difference, level: float = LEVEL) -> int | None:
    """Return how many test images it takes at least, with endless seeds, for this difference to be shown.

    As `seeds_to_settle`; None if the images' part is unknown or zero, or there is no difference.
    """
    variances = difference.variances
    if variances is None or variances.images == 0 or difference.mean == 0:
        return None
    return math.ceil(variances.images * (_detectable(math.inf, level) / difference.mean) ** 2)


def letter_groups(count: int, distinguished: Iterable[tuple[int, int]]) -> list[tuple[str, ...]]:
    """Return the letters of networks: two share one if and only if they are not distinguished.

    A letter stands for a largest set of networks of which no two are distinguished. The first network has `a`; letters
    follow in the order of their first members.

    Args:
        count: of the networks, numbered from 0, the best first.
        distinguished: pairs of them.

    Source: Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", Journal of
    Computational and Graphical Statistics 13 (2004).
    """
    groups = {frozenset(range(count))} if count else set()
    for pair in distinguished:
        parted = {group for group in groups if group.issuperset(pair)}
        groups = (groups - parted) | {group - {each} for group in parted for each in pair}
        groups = {group for group in groups if not any(group < other for other in groups)}
    ordered = sorted(groups, key=sorted)
    return [tuple(_letter(place) for place, group in enumerate(ordered) if each in group) for each in range(count)]


def joined(letters: Collection[str]) -> str:
    """Write the letters of a network: `ab`; with commas where one has several characters."""
    return ("" if all(len(letter) == 1 for letter in letters) else ",").join(letters)


def _letter(place: int) -> str:
    turn, within = divmod(place, len(_ALPHABET))
    return _ALPHABET[within] + (str(turn + 1) if turn else "")


def _of_two_trainings(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """Return the difference of two trained networks, (images,) each."""
    right, other = first > 0.5, second > 0.5
    both, only_first, only_second = (int(each.sum()) for each in (right & other, right & ~other, other & ~right))
    interval = paired_interval(both, only_first, only_second, len(right))
    return Difference((only_first - only_second) / len(right), interval, mcnemar(only_first, only_second), None)


def _mean_squares(answers: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean squares between seeds and of the residual, of (seeds, images)."""
    seeds, n = answers.shape
    by_seed, by_image = answers.mean(axis=1), answers.mean(axis=0)
    left = answers - by_seed[:, None] - by_image + answers.mean()
    return float(n * by_seed.var(ddof=1)), float((left**2).sum() / ((seeds - 1) * (n - 1)))


def _seed_terms(between: float, residual: float, seeds: int, n: int, share: float) -> list[tuple[float, float]]:
    """Return what the seeds add to the variance of a mean over n images: mean squares with their degrees of freedom.

    Args:
        between, residual: as `_mean_squares` returns them.
        seeds: that they were estimated from.
        share: one over the seeds of the mean.
    """
    if between <= residual:
        return []
    return [(share * between / n, seeds - 1.0), (-share * residual / n, (seeds - 1.0) * (n - 1))]


def _judged(mean: float, terms: Sequence[tuple[float, float]], variances: Variances) -> Difference:
    """Return a difference whose variance is a sum of terms, each with its degrees of freedom."""
    from scipy.special import stdtr

    error, freedom = _error(terms)
    interval = Interval.around(mean, student_margin(error, freedom))
    return Difference(mean, interval, 2 * float(stdtr(freedom, -abs(mean) / error)), variances)


def _error(terms: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the standard error and Satterthwaite's degrees of freedom of a sum of independent mean squares."""
    total = sum(value for value, _ in terms)
    doubt = sum(value**2 / freedom for value, freedom in terms)
    return math.sqrt(total), (total**2 / doubt if doubt else math.inf)


def _detectable(freedom: float, level: float) -> float:
    """Return how many standard errors a difference needs to be shown with a chance of `POWER`."""
    from scipy.special import ndtri, stdtrit

    shares = (1 - level / 2, POWER)
    return sum(float(ndtri(share) if math.isinf(freedom) else stdtrit(freedom, share)) for share in shares)
