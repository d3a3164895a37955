"""The SQLite files of the state folder, where nothing beside that folder may be read or written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: Writes more boots anew at once than SQLite keeps in memory by itself.
CONFINED = """
import ctypes, random, sys
from pathlib import Path
from netbootd.boots import database
from netbootd.boots.boot import Boot
from netbootd.boots.database import Unsaved
from netbootd.config import Boots
from netbootd.landlock import confine_reading

state = Path(sys.argv[1])
connection = database.connect(state / "boots.sqlite")
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
if not confine_reading([state]):
    print("no Landlock")
    sys.exit()
for seed in range(2):
    chance = random.Random(seed)
    boots = [
        Boot(
            number=number,
            key=f"{chance.getrandbits(48):012x}",
            target="x" * chance.randrange(1000, 9000),
            began=1.0,
            last=2.0,
        )
        for number in range(4000)
    ]
    database.write(connection, [Unsaved(boot, False).row for boot in boots], {}, 4001)
database.prune(connection, Boots(kept=100), 3.0)
print(connection.execute("SELECT count(*) FROM boot").fetchone()[0])
"""


def test_many_boots_are_written_and_deleted_where_no_other_folder_can_be_used(
    tmp_path: Path,
) -> None:
    argv = [sys.executable, "-c", CONFINED, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    if done.stdout.strip() == "no Landlock":
        pytest.skip("this kernel has no Landlock")
    assert done.stdout.strip() == "10", done.stderr
