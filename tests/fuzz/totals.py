"""What was fed to one decoder in all its runs, kept in ``.cache/fuzz``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

#: NETBOOTD_FUZZ names another place for it.
FOLDER = Path(os.environ.get("NETBOOTD_FUZZ", Path(__file__).parents[2] / ".cache" / "fuzz"))


@dataclass
class Totals:
    """
    *cpu_s* is the time that *inputs* took; *slowest_us* and *memory* (bytes) are the most that one
    took, and *slowest* is that one in hexadecimal.  *branches* is how many the inputs have reached,
    *kept* how many of them brought a new one.
    """

    name: str
    inputs: int = 0
    cpu_s: float = 0.0
    slowest_us: float = 0.0
    slowest: str = ""
    memory: int = 0
    branches: int = 0
    kept: int = 0

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def findings(self) -> list[Path]:
        """Inputs that went wrong, as libFuzzer names them."""
        return sorted((self.folder / "findings").glob("*-*"))

    @classmethod
    def of(cls, name: str) -> Totals:
        """As they were kept."""
        try:
            return cls(**json.loads((FOLDER / name / "totals.json").read_text()))
        except FileNotFoundError:
            return cls(name)

    def keep(self) -> None:
        beside = self.folder / "totals.new"
        beside.write_text(json.dumps(asdict(self), indent=1))
        beside.replace(self.folder / "totals.json")

    def __str__(self) -> str:
        rate = self.inputs / self.cpu_s if self.cpu_s else 0
        size = len(self.slowest) // 2
        return (
            f"{self.name:10} {self.inputs:>11,} inputs {rate:>7,.0f}/s {self.branches:>5} branches"
            f" {self.kept:>5} kept, slowest {self.slowest_us:>7,.0f} us ({size} bytes),"
            f" most memory {self.memory:>9,} bytes, {len(self.findings)} findings"
        )
