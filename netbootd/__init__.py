"""netbootd: firmware asks what it shall boot; one JSON file answers."""

__version__ = "0.1.0"
