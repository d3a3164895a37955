"""``check --network``: servers that answer and servers that do not."""

from __future__ import annotations

import json
import socket

import pytest

from netbootd import probe
from netbootd.check import check


@pytest.fixture
def nfs_port(monkeypatch):
    """A port somebody listens on, in the place of 2049."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(probe, "_NFS_PORT", listening.getsockname()[1])
        yield


@pytest.fixture
def codes(tmp_path):
    def codes(arguments, boot_server="127.0.0.1:3000"):
        target = {"kernel": "http://192.0.2.9/k", "boot_args": arguments}
        (tmp_path / "c.json").write_text(
            json.dumps(
                {
                    "boot_servers": {"default": boot_server},
                    "targets": {"nfs": {"a": target}},
                    "machines": {"default": {"type": "nfs", "name": "a"}},
                }
            )
        )
        return [f.code for f in check(tmp_path / "c.json", network=True).findings]

    return codes


@pytest.mark.parametrize(
    "root", ["root=nfs:{}:/a", "root=nfs4:{}:/a", "root={}:/a", "root=/dev/nfs nfsroot={}:/a,ro"]
)
def test_every_spelling_of_an_nfs_root_is_asked(codes, nfs_port, root):
    assert codes(root.format("127.0.0.1")) == []
    assert codes(root.format("127.0.0.2")) == ["nfs-silent"]


def test_a_boot_server_that_is_not_this_host_is_a_warning(codes, nfs_port):
    assert codes("root=x", boot_server="192.0.2.200:3000") == ["boot-server-elsewhere"]
