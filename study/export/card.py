"""The model card of a student, as Markdown: its data, its training, its errors and its cost.

Works on what the other modules of this package measured. Every number in the card was measured.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from study.config import DataConfig
from study.export.choice import Choice
from study.export.latency import Latency, machine
from study.export.weights import OpenedStudent
from study.results.row_words import arm_words
from study.results.rows import Row
from study.results.statistics import Interval
from study.results.verdicts import WORDS
from study.results.wording import count, plain, signed


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network with its measured cost, and its error on the whole test set, a fraction of 1.

    `role` is student or teacher; `bytes` is the size of its parameters in single precision.
    """

    role: str
    name: str
    multiplications: int
    parameters: int
    bytes: int
    test_error: float


@dataclass(frozen=True)
class ExportedFile:
    """An exported file, compared with the network in PyTorch on the whole test set.

    Attributes:
        name: the file's name.
        kind: the runtime that runs it.
        bytes: its size.
        images: how many test images were compared.
        other_classes: for how many of them it predicts another class than the network.
        largest_difference: the largest absolute difference of a logit.
        test_error: a fraction of 1.
        exact: whether it has the network's own weights; False for quantised ones.
    """

    name: str
    kind: str
    bytes: int
    images: int
    other_classes: int
    largest_difference: float
    test_error: float
    exact: bool

    def __str__(self) -> str:
        """One line: whether it predicts the network's classes, how far its logits differ, and its test error."""
        same = "same class for all" if not self.other_classes else f"another class for {self.other_classes} of"
        return (
            f"{self.name}: {same} {self.images:,} test images, largest logit difference "
            f"{self.largest_difference:.2g}, test error {_percent(self.test_error)}, {self.bytes:,} bytes"
        )


def card(
    opened: OpenedStudent,
    files: Sequence[ExportedFile],
    networks: Sequence[MeasuredNetwork],
    teachers_missing: str | None,
    measured: Latency,
) -> str:
    """Write the card.

    Args:
        opened: the student.
        files: the exported files.
        networks: the student and its teachers.
        teachers_missing: why the teachers could not be measured, in one line; None if they were measured.
        measured: latencies of networks and files.
    """
    choice, config = opened.choice, opened.config
    channels, height, width = opened.input_shape
    shape = f"(N, {channels}, {height}, {width})"
    return "\n".join(
        [
            f"# {_plain(choice.study)}: {_plain(choice.row.arm.student)}",
            "",
            f"A classifier of {len(opened.classes)} classes, learned from "
            f"{_plain(choice.row.teacher_label or choice.row.arm.teacher) or 'labels'}.",
            "",
            "## Use",
            "",
            f"Input: raw images, uint8 {shape}, channels first, values from 0 to {_max_value(opened):g}. The model "
            "preprocesses them itself. For images with channels last, use "
            "`images.transpose(0, 3, 1, 2)`. Output: `logits` and `probabilities`, float32 "
            f"(N, {len(opened.classes)}).",
            "",
            f"Classes, in order: {_classes(opened.classes)}.",
            "",
            "## Data",
            "",
            *_data(config.data, opened),
            "",
            "## How it was made",
            "",
            f"- Method: {arm_words(choice.row)}.",
            f"- Teacher: {_teacher(choice)}.",
            f"- Study `{choice.study}`, trial `{choice.trial_id}`, run `{choice.run_id}`, seed {choice.seed}.",
            f"- Weights: SHA-256 `{opened.weights_digest}`.",
            f"- Chosen by validation error alone: the row of the table with the lowest mean "
            f"({_percent(choice.val_error_mean)} over {count(len(choice.seeds), 'seed')}), and of its seeds the one "
            f"with the lowest ({_percent(choice.val_error)}). The test set was not used for the choice.",
            "",
            "## Errors",
            "",
            *_errors(choice.row, choice.test_error),
            "",
            "## Cost",
            "",
            "| network | multiplications | parameters | bytes | test error |",
            "| :--- | ---: | ---: | ---: | ---: |",
            *(
                f"| {each.role} {_plain(each.name)} | {each.multiplications:,} | {each.parameters:,} | "
                f"{each.bytes:,} | {_percent(each.test_error)} |"
                for each in networks
            ),
            "",
            "Multiplications are for one image. Bytes are the size of the parameters in single precision. Test errors "
            "are of these weights on the whole test set, in float32.",
            *(["", f"The teacher was not measured: {teachers_missing}."] if teachers_missing else []),
            "",
            "## Files",
            "",
            "| file | runs in | bytes | other class than the network | largest logit difference | test error |",
            "| :--- | :--- | ---: | ---: | ---: | ---: |",
            *(
                f"| `{file.name}` | {file.kind} | {file.bytes:,} | {file.other_classes} of {file.images:,} | "
                f"{file.largest_difference:.2g} | {_percent(file.test_error)} |"
                for file in files
            ),
            "",
            "## Latency",
            "",
            *_latency(measured),
            "",
        ]
    )


def _teacher(choice: Choice) -> str:
    """The names of the teachers, the settings that distinguish them from the study's other teachers, and their key."""
    if not choice.row.arm.teacher:
        return "none"
    words = [choice.row.teacher_label or choice.row.arm.teacher]
    if choice.teacher_chain is not None:
        words.append(choice.teacher_chain)
    key = f"key `{choice.teacher_key}`" if choice.teacher_key else "key not known"
    return f"{', '.join(_plain(word) for word in words)} ({key})"


def _data(data: DataConfig, opened: OpenedStudent) -> list[str]:
    steps = ", ".join(step.replace("_", " ") for step in data.preprocess) or "only the division by the largest value"
    share = "" if data.fraction == 1 else f", a share of {data.fraction:g} of the training images"
    return [
        f"- {data.name}{share}; {len(opened.images):,} test images; SHA-256 of images, labels and splits "
        f"`{opened.data_digest}`.",
        f"- Preprocessing: {steps}. Augmentation: {', '.join(data.augment) or 'none'}.",
    ]


def _errors(row: Row, own: float) -> list[str]:
    lines = [
        f"- Test error of these weights: {_percent(own)}.",
        f"- Test error of the row, mean over {count(row.n, 'seed')}: {_percent(row.mean)}"
        f"{_interval(row.test_error_ci95, 100, '%')}.",
    ]
    if row.arm.role == "baseline":
        return [*lines, "- It is the baseline: no other row has a lower validation error."]
    if row.improvement_percent is not None:
        lines.append(
            f"- Improvement over plain distillation: {signed(row.improvement_percent)} %"
            f"{_interval(row.improvement_ci95, 1, '%')}."
        )
    return [*lines, f"- Verdict: {WORDS[row.verdict]}."]


def _latency(measured: Latency) -> list[str]:
    sizes = list(next(iter(measured.milliseconds.values())))
    heads = [count(size, "image") for size in sizes]
    return [
        f"Milliseconds of one call, from raw images to logits: the median of {measured.repetitions} calls, on one "
        f"thread of {machine()}. The calls of all networks and files were measured in turn.",
        "",
        f"| what | {' | '.join(heads)} |",
        f"| :--- |{' ---: |' * len(sizes)}",
        *(
            f"| {_plain(name)} | {' | '.join(f'{milliseconds[size]:.3g}' for size in sizes)} |"
            for name, milliseconds in measured.milliseconds.items()
        ),
    ]


def _max_value(opened: OpenedStudent) -> float:
    return opened.student.preprocessing.max_value


def _classes(names: Sequence[str]) -> str:
    return ", ".join(_plain(name) for name in names)


def _interval(interval: Interval | None, factor: float, unit: str) -> str:
    if interval is None:
        return " (no interval)"
    low, high = (signed(end * factor, 2).lstrip("+") for end in interval)
    return f" (95 % interval {low} to {high} {unit})"


def _percent(value: float) -> str:
    return f"{value * 100:.2f} %"


def _plain(text: str) -> str:
    """Text from a study file or the tracking server in one line, with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", plain(text, 200))
