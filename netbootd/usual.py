"""What counts where nobody says anything; known to every command, so nothing is imported here."""

from pathlib import Path

DEFAULT_FILE = Path("/etc/netbootd/netbootd.json")
