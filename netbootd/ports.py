"""Placeholder until the real one is written."""
def explain_taken(protocol: str, port: int, address: str | None, setting: str) -> str:
    return f"{protocol} port {port} is taken ({setting})"
