# SPDX-License-Identifier: Apache-2.0
"""Write the parts of docs/ that are generated from the code.

``tests/spec/test_isa.py`` and ``tests/tools/test_write_docs.py`` hold them to be current.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from systolith.api.bench_nets import bench_nets
from systolith.compiler.frontend.coverage import Coverage, coverage
from systolith.spec.arch import PRESETS
from systolith.spec.encoding import document

DOCS = Path(__file__).parents[2] / "docs"
END = "<!-- end -->"


def replace_generated(text: str, name: str, table: str) -> str:
    """``text`` with what stands between the markers of ``name`` replaced by ``table``."""
    begin = f"<!-- generated: {name} -->\n"
    before, rest = text.split(begin)
    after = rest.split(END, 1)[1]
    return before + begin + table + END + after


def _cell(record: Mapping[str, Any]) -> str:
    """Cycles, utilisation and, where a target is missed, by how much."""
    text = f"{record['cycles']:,} ({100 * record['utilisation']:.1f} %)"
    if record["target_cycles"] is not None and record["cycles"] > record["target_cycles"]:
        return f"{text}, {100 * (record['cycles'] / record['target_cycles'] - 1):+.1f} %"
    if record["target_utilisation"] is not None and record["utilisation"] < record["target_utilisation"]:
        return f"{text}, {100 * (record['utilisation'] - record['target_utilisation']):+.1f} %"
    return text


def _lines(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    arrays = list(dict.fromkeys(record["arch"] for record in records))
    yield f"| benchmark | MACs | {' | '.join(arrays)} |"
    yield "|---|---:|" + "---:|" * len(arrays)
    for net in dict.fromkeys(record["net"] for record in records):
        mine = {record["arch"]: record for record in records if record["net"] == net}
        cells = [_cell(mine[array]) if array in mine else "" for array in arrays]
        yield f"| {net} | {next(iter(mine.values()))['macs']:,} | {' | '.join(cells)} |".replace("  |", " |")


def bench_table(records: Sequence[Mapping[str, Any]]) -> str:
    """A row a network, a column an array, of the records of :func:`~systolith.api.bench_nets.bench_nets`."""
    return "\n".join([*_lines(records), ""])


def operator_table(rows: Iterable[Coverage]) -> str:
    """A row an operator, of :func:`~systolith.compiler.frontend.coverage.coverage`."""
    lines = ["| operator | domain | accepted | runs | since |", "|---|---|---|---|---:|"]
    lines += [
        f"| {row.op} | {row.domain} | {row.accepted} | {row.runs} | {row.since or ''} |".replace("|  |", "| |")
        for row in rows
    ]
    return "\n".join([*lines, ""])


def write(page: Path, name: str, table: str) -> None:
    """Bring one generated part of a page up to date."""
    page.write_text(replace_generated(page.read_text(), name, table))


if __name__ == "__main__":
    write(DOCS / "isa.md", "fields", document(PRESETS["8x8"]))
    write(DOCS / "operators.md", "operators", operator_table(coverage()))
    write(DOCS / "figures.md", "bench", bench_table(bench_nets(rtl=False)["records"]))
