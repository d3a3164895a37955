"""What other loaders than iPXE ask for by TFTP, by the names that they really send."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netbootd.boot import history
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify
from netbootd.dhcp import pxe
from netbootd.dhcp.message import Message, Op, Option
from netbootd.errors import Forbidden, NotFound
from netbootd.events.event import Held, Scripted
from netbootd.mac import MAC
from netbootd.record.standing import holds
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.marks import Marks
from netbootd.tftp.locate import Locator
from netbootd.tftp.wire import ReadRequest

NODE, MARKED, DISK, STRANGER, PI3, PI4, PI5 = (
    MAC.parse(text)
    for text in (
        "52:54:00:aa:00:0c",
        "52:54:00:aa:00:0d",
        "52:54:00:aa:00:0e",
        "52:54:00:aa:00:ff",
        "b8:27:eb:9b:65:d4",
        "dc:a6:32:ec:fc:3c",
        "2c:cf:67:00:00:05",
    )
)
UUID = "00112233-4455-6677-8899-aabbccddeeff"
AS_PXELINUX_ASKS = "33221100-5544-7766-8899-aabbccddeeff"
#: Option 97 of a Pi 3's ROM and of a Pi 4's EEPROM, and the folders that they ask in.
GUID3, SERIAL3 = "d4659bbd" * 4, "bd9b65d4"
GUID4, SERIAL4 = "52506934" + "1131c000" + "32ecfc3c" + "da06ffe0", "e0ff06da"

CONFIG = {
    "targets": {
        "nfs": {
            "a": {"kernel": "images/k", "boot_args": "token=__token__"},
            "pi": {"kernel": "pi/k", "boot_args": "p=1", "config_txt": "enable_uart=1"},
        },
        "linux": {"l": {"kernel": "images/k"}},
        "install": {"i": {"kernel": "images/k", "boot_args": "x"}},
        "menu": {"m": {"choices": ["install/i", "localboot"]}},
        "localboot": {"disk": {}},
        "biosupdate": {"b": {"initrd": "images/x.img"}},
    },
    "machines": {
        str(NODE): {"type": "nfs", "name": "a", "ip": "192.168.77.50"},
        str(MARKED): {"type": "nfs", "name": "a", "uuid": UUID},
        str(DISK): {"type": "localboot", "name": "disk", "serial": "100000000000aaaa"},
        str(PI4): {"type": "nfs", "name": "pi"},
        str(PI5): {"type": "nfs", "name": "pi", "ip": "192.168.77.51"},
        "pi-three": {"type": "nfs", "name": "pi", "serial": f"00000000{SERIAL3}", "macs": str(PI3)},
    },
    "netbootd": {"files": "files", "firmware": "fw"},
}


class Rig:
    """A locator over a folder; ``get`` is the text of an answer."""

    def __init__(self, folder, **machines):
        self.root = folder / "files"
        (folder / "fw").mkdir()
        self.put("images/k", "kernel")
        whole = {**CONFIG, "machines": {**CONFIG["machines"], **machines}}
        (folder / "c.json").write_text(json.dumps(whole))
        self.events = []
        self.live = LiveRegistry(load(folder / "c.json"))
        self.locator = Locator(self.live, lambda: 0.0, self.events.append)

    def put(self, path, text="x"):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def locate(self, path, peer="192.168.77.99"):
        return self.locator.locate(ReadRequest(path, "octet", {}), peer, "192.0.2.1")

    def get(self, path, peer="192.168.77.99"):
        located = self.locate(path, peer)
        try:
            return located.content.read(0, 100000).decode()
        finally:
            located.content.close()

    def missing(self, *paths, peer="192.168.77.99"):
        for path in paths:
            with pytest.raises((NotFound, Forbidden)):
                self.locate(path, peer)

    def attempts(self, mac):
        return len(self.live.record.of(self.live.snapshot.machine(mac).key).attempts)


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


def asked_by(flow):
    """The paths that a captured loader asked for."""
    captured = Path(__file__).parents[1] / "captures" / "tftp-requests.json"
    found = json.loads(captured.read_text())
    return [one["fields"][0] for one in found if one["op"] == "RRQ" and one["loader"] == flow]


def test_pxelinux_gets_the_configuration_of_the_first_name_that_is_its_own(rig):
    paths = [path for path in asked_by("pxelinux-uuid") if "cfg" in path]
    assert f"mac={MARKED}" in rig.get(paths[0]), "a machine that is listed by it"
    assert "KERNEL /52-54-00-aa-00-0c/images/k" in rig.get(paths[1])
    assert "KERNEL /52-54-00-aa-00-0c/images/k" in rig.get(paths[2])
    rig.missing(*paths[3:-1])
    assert "LABEL netbootd" in rig.get(paths[-1], peer="192.168.77.50")


@pytest.mark.parametrize("uuid", [UUID, AS_PXELINUX_ASKS, UUID.upper()])
@pytest.mark.parametrize("name", ["pxelinux.cfg/{}", "grub/grub.cfg-{}"])
def test_a_machine_is_known_by_its_uuid_in_either_order(rig, uuid, name):
    text = rig.get(name.format(uuid))
    assert f"mac={MARKED}" in text


def test_a_uuid_that_dhcp_heard_names_the_card_that_said_it(rig):
    other = "aabbccdd-0011-2233-4455-66778899aabb"
    rig.missing(f"pxelinux.cfg/{other}")
    rig.live.sightings.note(NODE, Marks(uuid=other))
    assert f"mac={NODE}" in rig.get(f"pxelinux.cfg/{other}")


def test_an_address_counts_where_the_configuration_has_it(rig):
    rig.missing("pxelinux.cfg/C0A84D63")
    assert f"mac={NODE}" in rig.get("pxelinux.cfg/C0A84D32", peer="192.0.2.200")
    assert f"mac={NODE}" in rig.get("pxelinux.cfg/default", peer="192.168.77.50")


def test_an_address_from_which_another_machine_booted_is_not_that_machine(tmp_path):
    """The site's DHCP server gives it to the next: who comes then must not be installed for that."""
    rig = Rig(tmp_path, **{str(STRANGER): {"type": "install", "name": "i"}})
    assert "x" in rig.get(f"grub.cfg-01-{STRANGER.dashed}", peer="192.168.77.99")
    contact = rig.get("/grub/grub.cfg", peer="192.168.77.99")
    assert "first contact" in contact
    assert str(STRANGER) not in contact
    rig.missing("pxelinux.cfg/default", "pxelinux.cfg/C0A84D63", "grub.cfg-C0A84D63")
    rig.missing("config.txt", "rack/cmdline.txt")
    assert rig.attempts(STRANGER) == 1


def test_a_machine_that_is_listed_by_its_uuid_alone_is_told_by_that(tmp_path):
    """Its card is what its loader's path says, or what it booted from; never a neighbour's."""
    other = "aabbccdd-0011-2233-4455-66778899aabb"
    machines = {"rack4": {"type": "linux", "name": "l", "uuid": other}}
    rig = Rig(tmp_path, default={"type": "nfs", "name": "a"}, **machines)
    rig.get(f"grub.cfg-01-{MARKED.dashed}", peer="192.168.77.99")
    rig.missing(f"pxelinux.cfg/{other}")
    assert "target=linux/l" in rig.get(f"{STRANGER}/pxelinux.cfg/{other}")
    text = rig.get(f"pxelinux.cfg/{other}", peer="192.168.77.98")
    assert f"mac={STRANGER} target=linux/l" in text


def test_boards_that_share_a_uuid_are_told_apart_by_the_folder_of_their_loader(rig):
    for mac in (NODE, PI4):
        rig.live.sightings.note(mac, Marks(uuid="aabbccdd-0011-2233-4455-66778899aabb"))
    path = "pxelinux.cfg/aabbccdd-0011-2233-4455-66778899aabb"
    assert f"mac={NODE}" in rig.get(f"{NODE}/{path}")
    assert f"mac={PI4}" in rig.get(f"{PI4}/{path}")
    assert f"mac={PI4}" in rig.get(f"{PI4}/pxelinux.cfg/C0A84D32")


@pytest.mark.parametrize(
    "path",
    [
        "grub.cfg-01-52-54-00-aa-00-0c",
        "/grub/grub.cfg-01-52:54:00:aa:00:0c",
        f"{NODE}/grub/grub.cfg",
        f"{NODE.dashed}\\grub.cfg",
        "/boot/grub/grub.cfg-52:54:00:AA:00:0C",
        "01-52-54-00-aa-00-0c",
        "some/where/01-52-54-00-aa-00-0c",
        f"{NODE}/pxelinux.cfg/default",
        f"{NODE}//{NODE.dashed}/pxelinux.cfg/01-52-54-00-aa-00-0c",
    ],
)
def test_every_way_to_name_a_machine_leads_to_its_target_and_is_an_attempt(rig, path):
    located = rig.locate(path)
    text = located.content.read(0, 10000).decode()
    assert (located.mac, located.target) == (NODE, "nfs/a")
    assert "/52-54-00-aa-00-0c/images/k" in text
    # An address that is not its own does not make it a boot of this machine by iPXE; a loader is.
    assert rig.attempts(NODE) == 1
    assert [type(event) for event in rig.events] == [Scripted]
    assert (rig.events[0].code, rig.events[0].path) == ("", path)


def test_debians_signed_grub_learns_by_which_name_to_ask(rig):
    (path,) = [path for path in asked_by("grubnet") if "cfg" in path]
    assert "configfile '(tftp,192.0.2.1)/grub.cfg-01-'\"$mac\"" in rig.get(path)
    assert not rig.events
    assert f"mac={NODE}" in rig.get(path, peer="192.168.77.50")
    rig.missing(*(path for path in asked_by("grubnet") if ".lst" in path))


def test_a_file_of_the_admin_is_what_is_served(rig):
    rig.put("grub/grub.cfg", "own")
    rig.put("pxelinux.cfg/01-52-54-00-aa-00-0c", "own too")
    assert rig.get("/grub/grub.cfg") == "own"
    assert rig.get(f"{NODE}/grub/grub.cfg") == "own"
    assert rig.get("pxelinux.cfg/01-52-54-00-aa-00-0c") == "own too"
    assert "linux " in rig.get("grub.cfg-01-52-54-00-aa-00-0c")


def test_nobody_else_gets_one(rig):
    rig.missing(
        "grub.cfg-01-52-54-00-aa-00-ff",
        "pxelinux.cfg/01-52-54-00-aa-00-ff",
        "pxelinux.cfg/default",
        "grub.cfg-C0A84D",
        "config.txt",
        "12345678/config.txt",
        "12345678/start4.elf",
    )


def test_a_machine_that_gets_the_default_has_a_name_of_its_own(tmp_path):
    rig = Rig(tmp_path, default={"type": "nfs", "name": "a"})
    assert f"mac={STRANGER}" in rig.get("pxelinux.cfg/01-52-54-00-aa-00-ff")
    assert f"mac={STRANGER}" in rig.get("grub.cfg-01-52-54-00-aa-00-ff")


def test_a_machine_that_is_held_reads_why(rig):
    key = rig.live.snapshot.machine(NODE).key
    rig.live.record.put(key, holds(rig.live.record.of(key), "the disk is on fire"))
    assert "is held: the disk is on fire" in rig.get("grub.cfg-01-52-54-00-aa-00-0c")
    assert "is held: the disk is on fire" in rig.get("pxelinux.cfg/01-52-54-00-aa-00-0c")
    assert rig.attempts(NODE) == 0


def test_a_machine_that_goes_in_a_circle_is_held(tmp_path):
    rig = Rig(tmp_path, **{str(STRANGER): {"type": "install", "name": "i"}})
    texts = []
    for _ in range(9):
        texts.append(rig.get("grub.cfg-01-52-54-00-aa-00-ff"))
        history.fetched("images/k", "192.168.77.99", rig.live.snapshot, rig.live.record)
    assert "linux " in texts[0]
    assert "never finished" in texts[-1]
    assert Held in {type(event) for event in rig.events}


def test_what_a_menu_boots_is_an_attempt_when_it_is_chosen(tmp_path):
    rig = Rig(tmp_path, **{str(STRANGER): {"type": "menu", "name": "m"}})
    menu = rig.get("grub.cfg-01-52-54-00-aa-00-ff")
    assert rig.attempts(STRANGER) == 0
    (path,) = [line.split(")")[1].rstrip("'") for line in menu.splitlines() if "choice-1" in line]
    assert "linux " in rig.get(path)
    assert rig.attempts(STRANGER) == 1
    rig.missing(path.replace("choice-1", "choice-7"))


def test_the_token_of_the_boot_is_the_attempts_own(rig):
    text = rig.get("pxelinux.cfg/01-52-54-00-aa-00-0c")
    token = text.partition("token=")[2].split()[0]
    assert rig.live.record.attempt_of(rig.live.snapshot.machine(NODE).key, token) is not None


def test_the_extra_initrd_comes_by_tftp(tmp_path):
    (tmp_path / "overlays" / "o").mkdir(parents=True)
    (tmp_path / "overlays" / "o" / "file").write_text("inside")
    machines = {str(STRANGER): {"type": "nfs", "name": "a", "overlays": "o"}}
    rig = Rig(tmp_path, **machines)
    text = rig.get("pxelinux.cfg/01-52-54-00-aa-00-ff")
    path = text.partition("INITRD ")[2].split()[0]
    assert path.startswith("/overlay/52-54-00-aa-00-ff.cpio?token=")
    for asked in (path, f"{STRANGER}/{path}", f"pxe/{path}"):
        assert rig.locate(asked).content.read(0, 6) == b"070701", asked
    rig.missing("overlay/52-54-00-aa-00-01.cpio", "overlay/x")


# -- Raspberry Pi ----------------------------------------------------------------------------------


@pytest.fixture
def pi(rig):
    for path in ("pi/k", "start.elf", "bootcode.bin", "bcm2711-rpi-4-b.dtb", "overlays/x.dtbo"):
        rig.put(path, path)
    rig.put("start4.elf", "of all")
    return rig


def test_a_pi_3_boots_by_its_serial_number(pi):
    """What the ROM asks for, in its order (raspberrypi.com, "Network boot flow")."""
    assert pi.get("bootcode.bin") == "bootcode.bin"
    pi.missing("bootsig.bin")
    assert pi.get(f"{SERIAL3}/start.elf") == "start.elf"
    pi.missing(f"{SERIAL3}/autoboot.txt", f"{SERIAL3}/recovery.elf", f"{SERIAL3}/dt-blob.bin")
    assert pi.get(f"{SERIAL3}/config.txt").splitlines()[1:] == [
        *("arm_64bit=1", "kernel=pi/k", "enable_uart=1")
    ]
    assert pi.get(f"{SERIAL3}/cmdline.txt") == "p=1\n"
    assert pi.get(f"{SERIAL3}/overlays/x.dtbo") == "overlays/x.dtbo"
    assert pi.get(f"{SERIAL3}/pi/k") == "pi/k"
    assert pi.locate(f"{SERIAL3}/pi/k").target == "nfs/pi"
    assert pi.attempts(PI3) == 1, "config.txt is read several times in one boot"


def as_dhcp_reads(guid):
    """What DHCP makes of option 97."""
    return pxe.marks_of(Message(op=Op.REQUEST, options={Option.UUID: bytes.fromhex(f"00{guid}")}))


@pytest.mark.parametrize("guid", [GUID4, "52506934" + "1131c000" + "32ecfc3c" + "e0ff06da"])
def test_a_pi_4_is_known_by_what_dhcp_heard(pi, guid):
    pi.missing(f"{SERIAL4}/config.txt", f"{SERIAL4}/start4.elf")
    pi.live.sightings.note(PI4, as_dhcp_reads(guid))
    assert pi.get(f"{SERIAL4}/config.txt").startswith(f"# netbootd mac={PI4}")
    assert pi.get(f"{SERIAL4}/start4.elf") == "of all"
    assert pi.get(f"{SERIAL4}/bcm2711-rpi-4-b.dtb") == "bcm2711-rpi-4-b.dtb"
    pi.put(f"{SERIAL4}/start4.elf", "its own")
    assert pi.get(f"{SERIAL4}/start4.elf") == "its own"


def test_a_pi_3_is_known_by_what_dhcp_heard(tmp_path):
    rig = Rig(tmp_path, default={"type": "nfs", "name": "pi"})
    rig.live.sightings.note(STRANGER, as_dhcp_reads(GUID3.replace("bd", "be")))
    assert f"mac={STRANGER}" in rig.get("be9b65d4/config.txt")


@pytest.mark.parametrize("serial", [SERIAL4, f"00000000{SERIAL4}"])
def test_a_pi_that_is_listed_by_its_serial_number_alone_is_known_by_it(tmp_path, serial):
    rig = Rig(tmp_path, **{"pi-four": {"type": "nfs", "name": "pi", "serial": serial}})
    said = as_dhcp_reads(GUID4)
    asking = Client(stage=Stage.FIRMWARE, mac=STRANGER).marked(said)
    assert identify(asking, rig.live.snapshot).named == "pi-four"
    rig.live.sightings.note(STRANGER, said)
    assert rig.get(f"{SERIAL4}/config.txt").startswith(f"# netbootd mac={STRANGER} target=nfs/pi")


def test_a_pi_is_known_by_its_mac_or_its_own_address(pi):
    assert "kernel=pi/k" in pi.get(f"{PI4.dashed}/config.txt")
    assert pi.get(f"{PI4.dashed}/cmdline.txt") == "p=1\n"
    rack = pi.get("rack/config.txt", peer="192.168.77.51")
    assert rack.startswith(f"# netbootd mac={PI5}")
    assert pi.get(f"{PI4.dashed}/start4.elf") == "of all"


def test_a_pi_that_boots_its_disk_finds_nothing(pi):
    pi.missing("0000aaaa/config.txt", "0000aaaa/start4.elf", "0000aaaa/cmdline.txt")
    pi.missing("0000aaaa/bootcode.bin", "0000aaaa/start.elf")


def test_firmware_of_all_is_not_found_by_a_pi_that_boots_its_disk(tmp_path):
    rig = Rig(tmp_path)
    for name in ("start4.elf", "bootcode.bin"):
        (tmp_path / "fw" / name).write_text("of Debian")
    rig.live.swap(load(tmp_path / "c.json"))
    rig.missing(f"{DISK.dashed}/start4.elf", "0000aaaa/start4.elf", "start4.elf")
    assert rig.get("bootcode.bin") == "of Debian", "the ROM of a Pi 3 says nothing of itself"
    assert rig.get(f"{PI4.dashed}/start4.elf") == "of Debian"
    rig.get(f"{PI4.dashed}/cmdline.txt", peer="192.168.77.60")
    assert rig.get("start4.elf", peer="192.168.77.60") == "of Debian"
    rig.missing("start4.elf", peer="192.168.77.61")
    rig.put("start4.elf", "for all")
    rig.live.swap(load(tmp_path / "c.json"))
    assert rig.get("start4.elf", peer="192.168.77.61") == "for all"


def test_an_admins_own_file_below_the_serial_number_wins(pi):
    pi.put(f"{SERIAL3}/config.txt", "own")
    assert pi.get(f"{SERIAL3}/config.txt") == "own"


def test_a_folder_of_eight_digits_is_no_pi_where_it_has_files(rig):
    rig.put("20240101/vmlinuz", "k")
    assert rig.get("20240101/vmlinuz") == "k"
    rig.missing("20240102/vmlinuz")


# -- U-Boot ----------------------------------------------------------------------------------------


def test_u_boot_and_petitboot_get_several_initrds_as_one(tmp_path):
    """They ask for what stands behind INITRD as for one file."""
    (tmp_path / "overlays" / "o").mkdir(parents=True)
    machines = {
        str(STRANGER): {"type": "nfs", "name": "a", "overlays": "o", "initrd": ["i", "images/j"]}
    }
    rig = Rig(tmp_path, **machines)
    rig.put("i", "first")
    rig.put("images/j", "second")
    text = rig.get("pxelinux.cfg/01-52-54-00-aa-00-ff")
    listed = text.partition("INITRD ")[2].split()[0]
    assert listed.count(",") == 2
    for asked in (listed, f"{STRANGER}/{listed}", f"pxe/{listed}"):
        located = rig.locate(asked)
        data = located.content.read(0, located.content.size)
        located.content.close()
        assert data.startswith(b"070701"), asked
        assert data.endswith(b"first\0\0\0second\0\0"), asked
    rig.missing(f"{listed},/nothing", f"{listed},../../c.json", ",", "a,b", "," * 20)
    rig.put("a,b", "a real name")
    assert rig.get("a,b") == "a real name"
