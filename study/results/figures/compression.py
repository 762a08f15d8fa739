"""Error against compression, as in Figure 3 of Sau & Balasubramanian, "Deep Model Compression: Distilling Knowledge
from Noisy Teachers".

Works on the rows of a table and of the same table over validation errors. A student's arm is chosen by its validation
error, because the lowest of many test errors is too low on average.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search_spaces.published import PublishedTable
from study.results.figures.chosen import ByValidation
from study.results.figures.material import Material
from study.results.figures.style import Sketch, canvas, colour, legend_below, log_scale, name_above
from study.results.rows import Row, Table
from study.results.wording import count, lost_words, plain, seeds_each


@dataclass(frozen=True)
class CompressedStudent:
    """One student at one compression ratio.

    Attributes:
        ratio: multiplications of the teacher / of the student.
        baseline: None where there is none.
        chosen: the arm of the lowest mean validation error; None where there is none.
        others: the remaining arms.
    """

    name: str
    ratio: float
    baseline: Row | None
    chosen: Row | None
    others: tuple[Row, ...]

    @property
    def shown(self) -> list[Row]:
        """The rows that may lie on the front."""
        return [row for row in (self.baseline, self.chosen) if row is not None]


@dataclass(frozen=True)
class Compression:
    """The students of a study, ascending in compression, the front, and how many rows lost seeds."""

    students: tuple[CompressedStudent, ...]
    lost: int

    @property
    def front(self) -> list[tuple[float, float]]:
        """(ratio, mean test error) of the shown rows for which no other row is at least as good in both and better in
        one."""
        points = [(student.ratio, row.mean) for student in self.students for row in student.shown]
        return sorted({point for point in points if not any(_beats(other, point) for other in points)})


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def compression_of(table: Table, by_validation: ByValidation) -> Compression | None:
    """The figure's content. None if the students do not differ in cost. Rows without a mean error are left out."""
    found = []
    for name in dict.fromkeys(row.arm.student for row in table.rows):
        rows = [row for row in table.rows if row.arm.student == name and row.test_error_mean is not None]
        for ratio in dict.fromkeys(row.compression_ratio for row in rows):
            if ratio is None:
                continue
            here = [row for row in rows if row.compression_ratio == ratio]
            baselines = [row for row in here if row.arm.role == "baseline"]
            arms = [row for row in here if row.arm.role == "arm"]
            chosen = by_validation.best(arms)
            found.append(
                CompressedStudent(
                    name,
                    ratio,
                    baselines[0] if len(baselines) == 1 else None,
                    chosen,
                    tuple(row for row in arms if row is not chosen),
                )
            )
    if len({student.name for student in found}) < 2 or len({student.ratio for student in found}) < 2:
        return None
    students = tuple(sorted(found, key=lambda student: (student.ratio, student.name)))
    return Compression(students, sum(row.is_lost for row in table.rows))


def sketches(material: Material) -> list[Sketch]:
    """One figure, if the students differ in cost."""
    found = compression_of(material.table, material.by_validation)
    return [] if found is None else [sketch(found, material.published)]


def sketch(shown: Compression, published: PublishedTable | None) -> Sketch:
    """The figure. `published` is the source of the published numbers, None if there are none."""
    rows = [row for student in shown.students for row in student.shown]
    said = [
        f"Mean test error with 95 % intervals, {seeds_each(row.n for row in rows)}. Compression is the teacher's "
        "multiplications divided by the student's. Each student has its baseline and the arm with the lowest mean "
        "validation error. Small dots are its other arms. The line is the Pareto front: no other point of the figure "
        "has both more compression and a lower error. Only means are compared, so a point may be on the front by "
        "chance. In the table the front is that of all rows."
    ]
    if published is not None and any(row.published_error_percent is not None for row in rows):
        said.append(f"Crosses: published for the same rows, {published.citation}.")
    if shown.lost:
        said.append(lost_words(shown.lost))
    return Sketch(
        name="error-against-compression",
        heading="Error against compression",
        title=_finding(shown),
        caption=" ".join(said),
        draw=lambda: _draw(shown),
    )


def _finding(shown: Compression) -> str:
    pairs = [(student.baseline, student.chosen) for student in shown.students if student.baseline and student.chosen]
    better = sum(chosen.verdict == "better" for _, chosen in pairs)
    worse = sum(chosen.verdict == "worse" for _, chosen in pairs)
    if not pairs:
        return f"{count(len(shown.students), 'student')}, without a baseline to compare with"
    if not better and not worse:
        return f"No chosen arm is shown to differ from its baseline ({count(len(pairs), 'student')})"
    verdicts = [f"better for {better}"] * (better > 0) + [f"worse for {worse}"] * (worse > 0)
    return f"The chosen arm is {' and '.join(verdicts)} of {count(len(pairs), 'student')}"


def _draw(shown: Compression) -> Figure:
    figure, (axes,) = canvas()
    axes.set_xlabel("compression: multiplications of the teacher / of the student")
    axes.set_ylabel("test error (%)")
    axes.set_title(f"{seeds_each(row.n for student in shown.students for row in student.shown)}, 95 % intervals")
    ratios = [student.ratio for student in shown.students]
    if min(ratios) > 0 and max(ratios) > 4 * min(ratios):
        axes.set_xlim(min(ratios) / 1.3, max(ratios) * 1.3)
        log_scale(axes, "x")
    others = [(student.ratio, row.mean * 100) for student in shown.students for row in student.others]
    if others:
        axes.plot(*zip(*others, strict=True), ".", color=colour("muted"), markersize=4, label="other arms", zorder=2)
    axes.step(
        *zip(*((ratio, error * 100) for ratio, error in shown.front), strict=True),
        where="pre",
        color=colour("ink"),
        linewidth=1.2,
        linestyle=(0, (4, 2)),
        label="Pareto front",
        zorder=2.5,
    )
    # The two are drawn beside each other, so that neither interval covers the other.
    baselines = [(student.ratio / 1.02, student.baseline) for student in shown.students]
    chosen = [(student.ratio * 1.02, student.chosen) for student in shown.students]
    _marks(axes, baselines, "baseline", marker="s", color=colour("vermillion"))
    _marks(axes, chosen, "chosen arm", marker="o", color=colour("blue"))
    printed = [
        (student.ratio, row.published_error_percent)
        for student in shown.students
        for row in student.shown
        if row.published_error_percent is not None
    ]
    if printed:
        axes.plot(*zip(*printed, strict=True), "x", color=colour("muted"), label="published", zorder=2)
    for student in shown.students:
        ends = [row.test_error_ci95[1] if row.test_error_ci95 else row.mean for row in student.shown]
        errors = [row.mean for row in student.others]
        name_above(axes, plain(student.name, 18), student.ratio, 100 * max([*ends, *errors]))
    axes.margins(y=0.1)
    legend_below(figure, axes)
    return figure


def _marks(axes: Axes, marks: Sequence[tuple[float, Row | None]], label: str, **look: str) -> None:
    known = [(ratio, row) for ratio, row in marks if row is not None]
    means = [row.mean * 100 for _, row in known]
    ends = [row.test_error_ci95 or (row.mean, row.mean) for _, row in known]
    axes.errorbar(
        [ratio for ratio, _ in known],
        means,
        yerr=[
            [mean - low * 100 for mean, (low, _) in zip(means, ends, strict=True)],
            [high * 100 - mean for mean, (_, high) in zip(means, ends, strict=True)],
        ],
        linestyle="none",
        capsize=2.5,
        elinewidth=1,
        label=label,
        zorder=3,
        **look,  # type: ignore[arg-type]
    )
