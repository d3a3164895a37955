"""VM descriptions for tests: a valid one, changed ones, and JSON texts of every shape."""

from __future__ import annotations

import json

from hypothesis import strategies as st

IMAGE = "643de2c0-672e-11e7-9a3f-ff62fd3708f8"
WEB = {
    "brand": "joyent",
    "image_uuid": IMAGE,
    "alias": "web01",
    "max_physical_memory": 512,
    "nics": [
        {"nic_tag": "admin", "ips": ["10.1.0.21/24"], "gateways": ["10.1.0.1"], "primary": True}
    ],
}
GUEST = {
    "brand": "bhyve",
    "vcpus": 2,
    "ram": 1024,
    "nics": [{"nic_tag": "admin", "ips": ["dhcp"], "model": "virtio"}],
    "disks": [{"model": "virtio", "image_uuid": IMAGE, "image_size": 10240, "boot": True}],
}


def changed(base, **changes):
    """*base* with other values; ``nic__mtu`` and ``disk__size`` mean those of the first entry."""
    made = json.loads(json.dumps(base))
    for name, value in changes.items():
        where, _, inner = name.partition("__")
        entry = made[f"{where}s"][0] if inner else made
        if value is ...:
            del entry[inner or name]
        else:
            entry[inner or name] = value
    return made


gaps = st.text(" \t\r\n", max_size=3)
_strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(
    lambda text: json.dumps(text, ensure_ascii=False)
) | st.sampled_from([r'"\u00e9\/\ud83d\ude00"', r'"\u0000"', '""', '"uuid"', '"alias"'])
_numbers = st.sampled_from(
    ["512", "512.0", "5.12E2", "-0", "0.10", "1e999", "1e-999", "9" * 40, "9" * 5000, "1E+2"]
)
_scalars = _strings | _numbers | st.sampled_from(["true", "false", "null"])


def _containers(inner):
    spaced = st.tuples(gaps, inner, gaps).map("".join)
    members = st.tuples(gaps, _strings, gaps, spaced).map(lambda m: f"{m[0]}{m[1]}{m[2]}:{m[3]}")
    return st.lists(spaced, max_size=3).map(lambda items: f"[{','.join(items)}]") | st.lists(
        members, max_size=4
    ).map(lambda items: f"{{{','.join(items)}}}")


values = st.recursive(_scalars, _containers, max_leaves=12)
#: The text of any object in strict JSON: keys may stand twice, numbers are spelled in many ways.
texts = st.tuples(
    gaps,
    st.lists(
        st.tuples(gaps, _strings, gaps, gaps, values, gaps).map(
            lambda m: f"{m[0]}{m[1]}{m[2]}:{m[3]}{m[4]}{m[5]}"
        ),
        max_size=6,
    ).map(lambda items: f"{{{','.join(items)}}}"),
    st.sampled_from(["", "\n", "\r\n", " \n\n"]),
).map(lambda parts: "".join(parts).encode())
