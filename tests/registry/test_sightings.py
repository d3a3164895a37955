"""What MACs have been heard to say, and who has said what."""

from __future__ import annotations

from uuid import UUID

import pytest

from netbootd.mac import MAC
from netbootd.registry.marks import Marks
from netbootd.registry.sightings import Sightings

ONE, OTHER, THIRD = (MAC.parse(f"52:54:00:00:00:0{number}") for number in (1, 2, 3))
ITS, SWAPPED = "00112233-4455-6677-8899-aabbccddeeff", "33221100-5544-7766-8899-aabbccddeeff"


def test_a_uuid_leads_back_to_the_mac_in_either_order():
    seen = Sightings()
    seen.note(ONE, Marks(uuid=ITS))
    assert [seen.by_uuid(text) for text in (ITS, SWAPPED, ITS.upper())] == [ONE] * 3
    assert seen.by_uuid("00112233-4455-6677-8899-aabbccddee00") is None
    assert seen.by_uuid("no uuid") is None
    seen.note(OTHER, Marks(uuid=SWAPPED))
    assert seen.by_uuid(ITS) == OTHER, "the last who said so"


@pytest.mark.parametrize(
    ("uuid", "serial"),
    [
        ("d4659bbd" * 4, "bd9b65d4"),  # a Pi 3's boot ROM
        ("52506934113140c032ecfc3cda06ffe0", "e0ff06da"),  # a Pi 4's EEPROM
        ("52506935113140c032ecfc3cda06ffe0", "da06ffe0"),
    ],
)
@pytest.mark.parametrize("turned", [False, True], ids=["as sent", "as DHCP reads it"])
def test_a_raspberry_pis_option_97_tells_its_serial_number(uuid, serial, turned):
    seen = Sightings()
    seen.note(ONE, Marks(uuid=str(UUID(bytes_le=bytes.fromhex(uuid))) if turned else uuid))
    assert seen.by_pi_serial(serial) == ONE
    assert seen.by_pi_serial(serial.upper()) == ONE
    assert seen.by_pi_serial("00000000") is None


def test_no_other_uuid_is_taken_for_a_raspberry_pis():
    seen = Sightings()
    seen.note(ONE, Marks(uuid=ITS))
    assert seen.by_pi_serial("ccddeeff") is None
    assert seen.by_pi_serial("ffeeddcc") is None


def test_what_a_mac_does_not_say_any_more_is_forgotten():
    """Or one client that says something new in each packet would fill the memory."""
    seen = Sightings()
    for number in range(1, 50):
        seen.note(ONE, Marks(uuid=f"00112233-4455-6677-8899-{number:012}"))
    assert len(seen._by_name) == 1
    seen.note(ONE, Marks(serial="x1"))
    assert seen.by_uuid("00112233-4455-6677-8899-000000000049") == ONE, "it is said already"
    seen.note(ONE, Marks(uuid="d4659bbd" * 4))
    assert seen.by_uuid("00112233-4455-6677-8899-000000000049") is None
    assert seen.by_pi_serial("bd9b65d4") == ONE


def test_a_name_that_somebody_else_has_taken_stays_his():
    seen = Sightings()
    seen.note(ONE, Marks(uuid=ITS))
    seen.note(OTHER, Marks(uuid=ITS))
    seen.note(ONE, Marks(uuid="d4659bbd" * 4))
    assert seen.by_uuid(ITS) == OTHER


def test_who_is_forgotten_is_not_found_by_name_any_more():
    seen = Sightings(most=2)
    seen.note(ONE, Marks(uuid=ITS))
    seen.note(OTHER, Marks(uuid="d4659bbd" * 4))
    seen.note(THIRD, Marks(serial="x1"))
    assert seen.by_uuid(ITS) is None
    assert seen.by_pi_serial("bd9b65d4") == OTHER
    seen.note(ONE, Marks(uuid="d4659bbd" * 4))
    assert seen.by_pi_serial("bd9b65d4") == ONE, "and not forgotten with the other"
    seen.note(THIRD, Marks(serial="x2"))
    assert seen.by_pi_serial("bd9b65d4") == ONE
