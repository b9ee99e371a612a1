"""The paper, row by row: its figures and tables, the commands that make them, its numbers and ours.

python -m olivine.study.paper      # writes docs/paper.md from docs/paper.toml and docs/miniature.json
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from olivine.errors import DataError
from olivine.study.page import show_spread

NOT_RUN = "not run"
NO_COMMAND = "no command yet"
_FIGURES_NOTE = (
    """A figure is drawn from the artifacts of any run and says which data they are of. None is kept here."""
)
_INTRODUCTION = """# The paper, row by row

Every figure and table of *Fine-grained Image-to-LiDAR Contrastive Distillation with Visual Foundation Models* (NeurIPS
2024): the command that makes it, the paper's numbers, and ours. Upper-case words stand for ids, as the commands print
them. The recipes are at the scale of the paper and need weak labels and the teacher's weights, which are named by
`--set` where a command makes labels or pretrains: [uses.md](uses.md#1-submit-from-the-ui-or-from-the-command-line).

"not found" is said of numbers of the paper that could not be found anywhere, "not run" where nothing was run. **None of
our numbers was measured on the paper's data**: where there are any, they are means over seeds with their 95 %
interval, on synthetic drives with simulated weak labels ([miniature.md](miniature.md)). Their order alone can be held
against the paper's.

This page is made by `python -m olivine.study.paper` from [paper.toml](paper.toml) and the summary of
`olivine study miniature`."""


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    commands: tuple[str, ...]
    """What makes it; empty where there is none yet."""


class Figure(_Item):
    """Figures that one command draws."""

    numbers: tuple[int, ...] = Field(min_length=1)


class Row(BaseModel):
    """One row of a table: the paper's cells, and the arm of the study whose results are ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    paper: tuple[str, ...]
    arm: str = ""


class Table(_Item):
    """One table. `regimes` names for each column the regime of the study, empty where it has none."""

    number: str
    source: str = Field(min_length=1)
    """Where the paper's numbers are from."""

    columns: tuple[str, ...] = Field(min_length=1)
    regimes: tuple[str, ...] = ()
    note: str = ""
    row: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Table:
        for row in self.row:
            if len(row.paper) != len(self.columns):
                raise ValueError(
                    f"row {row.name!r} has {len(row.paper)} cells, but there are {len(self.columns)} columns"
                )
        if len(self.regimes) not in (0, len(self.columns)):
            raise ValueError(f"{len(self.regimes)} regimes are named for {len(self.columns)} columns")
        return self


class Paper(BaseModel):
    """All of docs/paper.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    figure: tuple[Figure, ...]
    table: tuple[Table, ...]

    @property
    def commands(self) -> list[str]:
        """Every command, each once."""
        items: list[_Item] = [*self.figure, *self.table]
        return list(dict.fromkeys(command for item in items for command in item.commands))


def read_paper(path: Path) -> Paper:
    """The figures and tables of a file like docs/paper.toml.

    Raises:
        DataError: the file is not TOML, or says something else.
    """
    try:
        return Paper.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def render_paper(paper: Paper, study: dict[str, Any]) -> str:
    """The page, with our numbers from the summary of a study.

    Raises:
        DataError: a row names an arm that the study does not have.
    """
    lines = [_INTRODUCTION, "", "## Figures", "", _row(("figure", "shows", "command")), _row(["---"] * 3)]
    by_number = {number: figure for figure in paper.figure for number in figure.numbers}
    for number, figure in sorted(by_number.items()):
        commands = "<br>".join(f"`{command}`" for command in figure.commands) or NO_COMMAND
        lines.append(_row((str(number), figure.title, commands)))
    lines += ["", _FIGURES_NOTE]
    for table in paper.table:
        lines += ["", *_table(table, study)]
    return "\n".join([*lines, ""])


def _table(table: Table, study: dict[str, Any]) -> list[str]:
    ours = {row.name: _ours(table, row, study) for row in table.row}
    ran = any(cell != NOT_RUN for cells in ours.values() for cell in cells)
    data = "synthetic drives, simulated weak labels" if ran else "nothing was run"
    commands = ["```bash", *table.commands, "```"] if table.commands else [f"Command: {NO_COMMAND}."]
    lines = [f"## Table {table.number}: {table.title}", "", *commands, ""]
    lines += [f"The paper's numbers: {table.source}. Ours: {data}.", ""]
    lines += [_row(["", "", *table.columns]), _row(["---", "---", *["---:"] * len(table.columns)])]
    for row in table.row:
        lines += [_row([row.name, "paper", *row.paper]), _row(["", "ours", *ours[row.name]])]
    return [*lines, *(["", table.note] if table.note else [])]


def _ours(table: Table, row: Row, study: dict[str, Any]) -> Sequence[str]:
    if not row.arm:
        return [NOT_RUN] * len(table.columns)
    if row.arm not in study["arms"]:
        raise DataError(f"table {table.number}: the study has no arm {row.arm!r}: it has {', '.join(study['arms'])}")
    regimes = study["arms"][row.arm]["regimes"]
    return [show_spread(regimes[regime]) if regime in regimes else NOT_RUN for regime in table.regimes]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(docs: Path) -> None:
    """Write `paper.md` in the folder `docs`, from what is there."""
    study = json.loads((docs / "miniature.json").read_text())
    (docs / "paper.md").write_text(render_paper(read_paper(docs / "paper.toml"), study))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
