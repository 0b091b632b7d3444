"""What a front says to somebody who has to choose, in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass

from nas_service.dashboard.front_report import FrontReport
from nas_service.dashboard.wording import label, short_label, significant, value_text
from nas_service.metrics import METRICS
from nas_service.significance import noise_between
from nas_service.trade_offs import LimitCost, Step
from nas_service.views import FrontMember


@dataclass(frozen=True, slots=True)
class Pick:
    """A member of a front that is worth a look, and why."""

    name: str
    member: FrontMember
    reason: str


def pick_names(report: FrontReport) -> dict[int, str]:
    """Return the words at members of the front in the plot, by number."""
    names: dict[int, list[str]] = {}
    for pick in picks(report):
        names.setdefault(pick.member.number, []).append(pick.name)
    return {number: ", ".join(words) for number, words in names.items()}


def picks(report: FrontReport) -> list[Pick]:
    """Return the best within the limits, what is as good beyond noise and cheaper, and the knee."""
    found = []
    members = {member.number: member for member in report.members}
    quality, price = report.choice.quality, report.choice.price
    best = report.best
    if best is None:
        return []
    best = members.get(best.number, best)
    where = "within the limits" if report.choice.limits else "of all"
    found.append(Pick("best", best, f"The best {_lower(quality)} {where}: {_figures(best, quality, price)}."))
    other = members.get(report.tied.get(best.number, best.number))
    if other is not None and other.number != best.number:
        reason = (
            f"Tied with the best: {_figures(other, quality, price)}."
            " The difference is within noise, so this one costs less for the same."
        )
        found.append(Pick("as good", other, reason))
    if report.knee is not None and price:
        knee = members[report.knee]
        reason = (
            f"{_figures(knee, quality, price)}. Before it each step gains much for little, behind it little"
            " for much: of all points it lies furthest from the line between the two ends of the front."
        )
        found.append(Pick("knee", knee, reason))
    return found


@dataclass(frozen=True, slots=True)
class StepWords:
    """A step along the significant front in words."""

    start: FrontMember
    end: FrontMember
    # What is gained for what.
    gain: str
    # The same for a round amount of the price.
    rate: str


def step_words(report: FrontReport) -> list[StepWords]:
    """Return each step along the significant front in words, the cheapest first."""
    quality, price = report.choice.quality, report.choice.price
    return [_step(step, quality, price) for step in report.steps] if price else []


def _step(step: Step, quality: str, price: str) -> StepWords:
    gain = f"{points(step.gain)} ± {points(step.noise, is_bare=True)}"
    # An error gets better by getting less.
    sign = "+" if (step.gain >= 0) is (METRICS[quality].goal == "max") else "−"
    paid = amount_text(price, step.price)
    return StepWords(
        step.start,
        step.end,
        f"{sign}{gain} for {paid} more",
        f"{sign}{points(step.gain_per)} per {amount_text(price, step.per)}",
    )


def more_words(report: FrontReport) -> str:
    """Return what more of the price would buy in one sentence."""
    quality, price = report.choice.quality, report.choice.price
    if price is None or quality not in report.metrics:
        return "Choose a price and a quality as axes to see what more of one buys of the other."
    if not report.members:
        return "Appears with the first point of the front."
    if not report.steps:
        one = report.significant[0]
        return (
            f"Nothing beyond noise: #{one.number} ({_figures(one, quality, price)}) is as good as the"
            f" {_count(len(report.tied), 'dearer point')} of the front as far as some"
            f" {report.examples:,} validation examples can tell."
            if report.tied
            else f"There is only #{one.number} so far."
        )
    last = report.steps[-1].end
    return (
        f"Each step is the next point of the front that is better beyond noise. Behind #{last.number}"
        f" ({value_text(price, last.values[price])}) nothing that was found is better beyond noise."
    )


@dataclass(frozen=True, slots=True)
class LimitWords:
    """One limit, as an input and in words."""

    metric: str
    # What is asked for, the study's own bound, and the ends of the slider.
    bound: float | None
    own: float | None
    low: float
    high: float
    words: str


def limit_words(report: FrontReport, cost: LimitCost, members: Mapping[int, FrontMember]) -> str:
    """Return what one limit keeps and costs."""
    quality = report.choice.quality
    if not report.within.known:
        return ""
    fitting = f"{cost.fitting:,} of {_count(report.within.known, 'trained network')} {_fit(cost.fitting)}."
    best, better = report.best, members.get(cost.better if cost.better is not None else -1)
    if not cost.beyond:
        return f"{fitting} Nothing beyond it was trained, so what it costs is not known."
    if better is None:
        return f"{fitting} It costs nothing: no known network beyond it is better."
    beyond = f"#{better.number} beyond it ({value_text(cost.metric, better.values[cost.metric])})"
    reached = f"has {value_text(quality, better.values.get(quality))}"
    if best is None:
        return f"{fitting} {beyond} {reached}."
    is_noise = cost.gain <= noise_between(best, better, quality, report.examples)
    note = ", which is within noise" if is_noise else ""
    return f"{fitting} It costs {points(cost.gain)}: {beyond} {reached}{note}."


def summary_words(report: FrontReport) -> str:
    """Return what the limits leave, in one sentence."""
    known, quality = report.within, report.choice.quality
    if not known.known:
        return "No network is trained to the end yet."
    count = int(known.fitting.sum())
    if report.best is None:
        return f"None of {_count(known.known, 'trained network')} keeps all limits."
    best = report.best
    text = (
        f"{count:,} of {_count(known.known, 'trained network')} {_fit(count)} within all limits; the best is"
        f" #{best.number} with {value_text(quality, best.values.get(quality))}."
    )
    if known.untrained:
        text += (
            f" Besides, {_count(known.untrained, 'candidate')} would fit that the study rejected untrained:"
            " clone it with these limits to train them."
        )
    return text


def points(share: float, *, is_bare: bool = False) -> str:
    """Return a difference of two shares without its sign.

    Example:
        >>> points(0.0213), points(-0.00042), points(0.0213, is_bare=True)
        ('2.1 points', '0.042 points', '2.1')
    """
    size = abs(share) * 100
    text = "0" if size == 0 else significant(size, 2)
    return text if is_bare else f"{text} points"


def amount_text(metric: str, amount: float) -> str:
    """Return an amount of a price in three figures at most.

    Example:
        >>> amount_text("params", 10_000.0), amount_text("latency_ms", 0.1), amount_text("params", 12_345.0)
        ('10,000 parameters', '0.1 ms', '12,300 parameters')
    """
    unit = METRICS[metric].unit
    if unit == "bytes":
        return value_text(metric, amount)
    return f"{float(f'{amount:.3g}'):,.12g} {unit or _noun(metric)}"


def _figures(member: FrontMember, quality: str, price: str | None) -> str:
    text = value_text(quality, member.values.get(quality))
    return f"{text} at {_priced(member, price)}" if price else text


def _priced(member: FrontMember, price: str) -> str:
    value = member.values.get(price)
    if value is None:
        return "an unknown price"
    # A network's own count is exact, an amount of it is rounded.
    return value_text(price, value) if METRICS[price].unit else f"{value_text(price, value)} {_noun(price)}"


def _noun(metric: str) -> str:
    return "MACs" if metric == "macs" else short_label(metric).lower()


def _lower(metric: str) -> str:
    return label(metric)[0].lower() + label(metric)[1:]


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _fit(count: int) -> str:
    return "fits" if count == 1 else "fit"
