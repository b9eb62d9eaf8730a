from hypothesis import given
from hypothesis import strategies as st

from bithuman_cli.server.tickets import Tickets


def test_a_ticket_opens_one_avatar_for_a_while():
    now = 1_000.0
    tickets = Tickets("a secret of the server", clock=lambda: now)
    ticket, expiry = tickets.issue("host", 60)
    assert expiry == 1060
    assert tickets.admits(ticket, "host")
    assert not tickets.admits(ticket, "guest")
    assert Tickets("a secret of the server", clock=lambda: now).admits(ticket, "host")
    assert not Tickets("another secret", clock=lambda: now).admits(ticket, "host")
    now = 1_060.0
    assert not tickets.admits(ticket, "host")


def test_no_part_of_a_ticket_can_be_changed():
    tickets = Tickets("a secret of the server", clock=lambda: 0.0)
    ticket, _ = tickets.issue("host", 60)
    slug, expiry, signature = ticket.split(".")
    assert not tickets.admits(f"{slug}.{int(expiry) + 1}.{signature}", "host")
    assert not tickets.admits(f"hos.t{expiry}.{signature}", "hos")
    for at in range(len(ticket)):
        other = ticket[:at] + ("0" if ticket[at] != "0" else "1") + ticket[at + 1 :]
        assert not tickets.admits(other, "host")


@given(st.text(max_size=80))
def test_anything_else_is_no_ticket(text):
    assert not Tickets("a secret of the server").admits(text, "host")
