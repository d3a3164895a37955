"""Fragments put together: order, isolation, other languages, and the status of the whole."""

from __future__ import annotations

import subprocess

import pytest

from netbootd.errors import RenderError
from netbootd.rendering import compile_text
from netbootd.scripts.script import Fragment, Piece, node_script

from .machines import facts

SHELLS = pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]], ids=" ".join)


def pieces(*texts):
    """A piece of each text, named ``f0``, ``f1``..., rendered."""
    return [
        Piece("test", Fragment(f"f{number}", f"scripts/f{number}.j2", compile_text("t", text)))
        for number, text in enumerate(texts)
    ]


def run(text, shell=("sh",), **more):
    return subprocess.run(
        shell, input=text, capture_output=True, text=True, check=False, timeout=30, **more
    )


@SHELLS
def test_a_machine_with_nothing_to_do_gets_a_harmless_program(shell):
    text = node_script([], facts())
    assert text.startswith("#!/bin/sh\n")
    done = run(text, shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@SHELLS
def test_fragments_run_in_order_and_each_knows_the_variables(shell):
    text = node_script(
        pieces("echo one {{ hostname }}", "echo two {{ mac.dashed }}"), facts(hostname="n7")
    )
    assert run(text, shell).stdout == "one n7\ntwo 52-54-00-12-34-56\n"


@SHELLS
def test_one_that_fails_ends_at_once_and_the_others_run_all_the_same(shell):
    text = node_script(pieces("false\necho never", "echo after", "exit 7", "echo last"), facts())
    done = run(text, shell)
    assert done.stdout == "after\nlast\n"
    assert done.stderr == "netbootd: f0 failed with status 1\nnetbootd: f2 failed with status 7\n"
    assert done.returncode == 1, "that of the first"


@SHELLS
@pytest.mark.parametrize(
    "broken",
    ["if true; then", "echo 'open", "cat <<EOF\nnever closed", ")", "echo $no_such_variable"],
)
def test_one_that_is_no_program_hurts_no_other(shell, broken):
    done = run(node_script(pieces(broken, "echo after"), facts()), shell)
    assert "after\n" in done.stdout
    assert (done.returncode == 0) == ("never closed" in broken), "sh ends an open text at the end"


@SHELLS
def test_a_variable_or_folder_of_one_is_not_the_next_ones(shell):
    text = node_script(pieces("x=1; cd /; changed=yes", 'echo "${x-none} $PWD $changed"'), facts())
    assert run(text, shell, cwd="/usr").stdout == "none /usr no\n"


@SHELLS
def test_nothing_reads_the_script_itself(shell):
    """The here-documents come from the program's text: a fragment must not eat what follows."""
    assert run(node_script(pieces("cat", "echo after"), facts()), shell).stdout == "after\n"


@SHELLS
def test_another_language_runs_by_its_interpreter(shell):
    python = (
        "#!/usr/bin/env python3\nimport sys\nprint('{{ hostname }}', len(sys.argv))\nsys.exit(4)\n"
    )
    bash = "#!/bin/bash -e\n[[ x == x ]] && echo bash"
    done = run(node_script(pieces(python, bash), facts(hostname="n7")), shell)
    assert done.stdout == "n7 1\nbash\n"
    assert done.returncode == 4


def test_a_fragment_may_hold_the_mark_that_ends_it():
    assert (
        run(node_script(pieces("echo a\nEND\n", "echo END\nEND_\n"), facts())).stdout == "a\nEND\n"
    )


def test_windows_line_ends_are_mended():
    text = node_script([Piece("test", Fragment("f", "f", "echo one\r\necho two\r\n"))], facts())
    assert "\r" not in text
    assert run(text).stdout == "one\ntwo\n"


def test_what_is_no_template_is_left_as_it_is():
    text = node_script([Piece("test", Fragment("f", "f", "echo '{{ x }} {% y %}'"))], facts())
    assert run(text).stdout == "{{ x }} {% y %}\n"


def test_the_text_says_where_each_piece_comes_from():
    text = node_script([Piece("type nfs", Fragment("f", "scripts/f.sh", "true"))], facts())
    assert "# --- type nfs: f (scripts/f.sh)\n" in text


def test_a_name_cannot_leave_its_comment():
    text = node_script([Piece("x\nrm -rf /", Fragment("f\nid", "f", "true"))], facts())
    assert "\nrm" not in text
    assert run(text).returncode == 0


def test_an_undefined_name_is_an_error_and_never_half_a_script():
    with pytest.raises(RenderError, match=r"^t:2: 'hostnam' is undefined"):
        node_script(pieces("echo fine", "\necho {{ hostnam }}"), facts(hostname="n7"))


@SHELLS
def test_put_writes_what_differs_and_only_that(shell, tmp_path):
    file = tmp_path / "deep" / "file"
    fragment = f"echo text | put {file} 600\nput {file} 600 <<X\ntext\nX\necho $changed"
    text = node_script(pieces(fragment), facts())
    assert run(text, shell).stdout == f"netbootd: wrote {file}\nno\n"
    before = file.stat()
    assert (file.read_text(), before.st_mode & 0o777) == ("text\n", 0o600)
    assert run(text, shell).stdout == "no\n"
    assert file.stat() == before
    assert [path.name for path in file.parent.iterdir()] == ["file"]


@SHELLS
def test_what_is_made_can_be_read_by_all_whoever_runs_it(shell, tmp_path):
    """The runner keeps what is its own from others; that is no matter of the fragments."""
    made = f"echo x | put {tmp_path}/deep/file; mkdir {tmp_path}/own"
    text = node_script(pieces(made, f"#!/bin/bash\nmkdir {tmp_path}/other"), facts())
    assert run(text, shell, umask=0o077).returncode == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"deep": 0o755, "file": 0o644, "own": 0o755, "other": 0o755}


@SHELLS
def test_put_follows_no_link_that_waits_for_it(shell, tmp_path):
    (tmp_path / "file.netbootd-new").symlink_to(tmp_path / "theirs")
    assert run(node_script(pieces(f"echo x | put {tmp_path}/file"), facts()), shell).returncode == 0
    assert (tmp_path / "file").read_text() == "x\n"
    assert not (tmp_path / "theirs").exists()


@SHELLS
def test_put_says_that_it_changed_something(shell, tmp_path):
    fragment = f"put {tmp_path}/a <<X\ntext\nX\necho $changed"
    assert run(node_script(pieces(fragment), facts()), shell).stdout.endswith("yes\n")


@SHELLS
def test_nothing_is_left_behind(shell, tmp_path):
    text = node_script(pieces("echo x >$work/more", "exit 3"), facts())
    done = run(text, shell, env={"TMPDIR": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert done.returncode == 3
    assert list(tmp_path.iterdir()) == []
