"""The files of the web page: which there are, with what headers, and what they must not do."""

from __future__ import annotations

import re
from importlib import resources
from xml.etree import ElementTree

import pytest

from netbootd.http.ui import HEADERS, POLICY

from .inmemory import Rig

FOLDER = resources.files("netbootd.http").joinpath("ui")
NAMES = sorted(file.name for file in FOLDER.iterdir())
SCRIPTS = [name for name in NAMES if name.endswith(".js")]


def text_of(name):
    return FOLDER.joinpath(name).read_text("utf-8")


def test_the_page_is_served_with_headers_that_let_it_load_only_its_own(rig):
    response = rig.get("/ui/")

    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"] == POLICY
    assert "default-src 'self'" in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert "unsafe" not in POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.text == text_of("index.html")


@pytest.mark.parametrize("name", NAMES)
def test_every_file_of_the_page_is_served_with_its_type(rig, name):
    response = rig.get(f"/ui/{name}")

    types = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg"}
    assert response.status == 200
    assert response.headers["content-type"].startswith(types[name.rpartition(".")[2]])
    assert response.body == FOLDER.joinpath(name).read_bytes()
    assert {key: response.headers[key.lower()] for key in HEADERS} == dict(HEADERS)


def test_without_its_slash_the_page_is_elsewhere(rig):
    response = rig.get("/ui")

    assert response.status == 301
    assert response.headers["location"] == "/ui/"


def test_a_file_that_the_browser_has_is_not_sent_again(rig):
    etag = rig.get("/ui/index.html").headers["etag"]
    again = rig.get("/ui/index.html", If_None_Match=etag)

    assert (again.status, again.body) == (304, b"")
    assert again.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    "path", ["nothing.js", "../ui.py", "%2e%2e/ui.py", "ui/index.html", "__init__.py", "a/b", ".js"]
)
def test_nothing_else_is_below_the_page(rig, path):
    assert rig.get(f"/ui/{path}").status in (403, 404)


def test_nobody_can_put_anything_there(rig):
    assert rig.ask("POST", "/ui/").status == 405


def test_a_page_that_is_switched_off_is_not_there(tmp_path):
    rig = Rig(tmp_path, netbootd='"web" : false,')

    assert rig.get("/ui/").status == 404
    assert rig.get("/ui").status == 404
    assert rig.get("/ui/index.html").status == 404


# --- what the files may contain ----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_no_other_host(name):
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text_of(name)))

    assert addresses <= {"http://www.w3.org"}, "an SVG's namespace is all there may be"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_never_make_markup_of_text(name):
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\bon\w+ *= *[\"']"

    assert not re.findall(forbidden, text_of(name))


def test_the_page_has_no_script_and_no_style_of_its_own():
    page = text_of("index.html")

    assert not re.findall(r"<script(?![^>]*\bsrc=)", page)
    assert not re.findall(r"<style|\bstyle=|\bon\w+=", page)


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_imports_is_there(name):
    wanted = re.findall(r"""from "\./([\w.-]+)";""", text_of(name))

    assert set(wanted) <= set(NAMES)


def test_what_the_page_loads_is_there():
    wanted = re.findall(r'(?:src|href)="([\w.-]+)"', text_of("index.html"))

    assert set(wanted) <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".svg")])
def test_pictures_are_well_formed(name):
    ElementTree.fromstring(text_of(name))
