"""The clock of all sessions, with time that passes when the test says so."""

from __future__ import annotations

import numpy as np
import pytest

from bithuman_cli.server.client import Client
from bithuman_cli.server.hub import Hub

FRAME, SLOT = 0.040, 0.005


class Watched(Client):
    """Notes when its frames come."""

    def __init__(self, hub, clock):
        super().__init__(hub, "card", hub.avatars["card"])
        self._clock = clock
        self.frames = []  # with the time of each

    def offer(self, state):
        self.frames.append((self._clock.now, state))
        super().offer(state)

    def gaps(self, *, spoken=False):
        """Slots between frames."""
        times = [time for time, state in self.frames if state.audio is not None or not spoken]
        return [round(gap / SLOT, 2) for gap in np.diff(times)]


@pytest.fixture
def hub(avatar, clock):
    return Hub({"card": avatar}, voice=None, max_sessions=1000, clock=lambda: clock)


async def speak(client, clock, said, begin, late=None):
    """Send sound as it is spoken; ``late`` says by how many seconds pieces come later."""
    times = [begin + FRAME * number for number in range(len(said) // 640)]
    for number, seconds in (late or {}).items():
        times[number] += seconds
    for number, time in enumerate(times):
        await clock.until(max(time, clock.now))
        await client.push(said[640 * number : 640 * number + 640].tobytes(), 16_000)
    return times


async def test_everybody_gets_a_frame_each_40_ms(hub, clock):
    clients = [Watched(hub, clock) for _ in range(16)]
    for client in clients:
        hub.ticker.add(client)
    await clock.until(clock.now + 2.0)
    for client in clients:
        assert [state.frame_index for _, state in client.frames] == list(range(50))
        assert set(client.gaps()) == {8}
    # Two in each of the eight slots of a frame, evaluated in one go.
    assert hub.stats.network_ms.count == 8 * 50
    assert hub.stats.frames_late == 0


async def test_speech_begins_as_soon_as_there_is_enough_of_it(hub, clock, speech):
    client = Watched(hub, clock)
    hub.ticker.add(client)
    for phase in np.arange(0.0, FRAME, 0.0071):
        client.session.interrupt()
        await clock.until(clock.now + 1.0)
        idle = len(client.frames)
        times = await speak(client, clock, speech(0.6), client.frames[-1][0] + FRAME + phase)
        first = next(time for time, state in client.frames[idle:] if state.audio is not None)
        # The third piece makes the first frame possible: the look-ahead is two of them.
        assert 0 < first - times[2] <= 0.002 + SLOT
        assert set(client.gaps(spoken=True)[-8:]) == {8}


async def test_late_sound_is_made_up_for(hub, clock, speech):
    client = Watched(hub, clock)
    hub.ticker.add(client)
    said = speech(1.6)
    times = await speak(client, clock, said, 1001.001, late={20: 0.016, 30: 0.016})
    gaps = client.gaps(spoken=True)
    # The frame that was waited for comes in the slot after its sound; the next one keeps its time
    # but for one slot, which is all that stays.
    came = {state.frame_index: time for time, state in client.frames}
    first = next(state.frame_index for _, state in client.frames if state.audio is not None)
    for piece in (20, 30):
        waited = came[first + piece - 2] - times[piece]
        assert 0 < waited <= SLOT
    assert gaps.count(8) == len(gaps) - 4
    late = [gap for gap in gaps if gap != 8]
    assert [sum(late[:2]), sum(late[2:])] == [8 + 9, 8 + 9]
    assert 4 <= min(late) <= max(late) <= 12
    # Not a frame without sound among them, and none lost.
    spoken = [state for _, state in client.frames if state.frame_index >= first]
    heard = np.concatenate([state.audio for state in spoken])
    np.testing.assert_array_equal(heard, said[: len(heard)])
    assert hub.stats.frames_late == 0


async def test_sound_that_never_comes_is_not_waited_for_long(hub, clock, speech):
    client = Watched(hub, clock)
    hub.ticker.add(client)
    await speak(client, clock, speech(0.8), 1001.0)
    count = len(client.frames)
    await clock.until(clock.now + 2.0)
    after = client.frames[count:]
    assert len(after) >= 2.0 / FRAME - 2
    # One turn is waited; then the mouth holds for 200 ms, the look-ahead is spoken, and it closes.
    assert sorted(client.gaps())[-2:] == [8, 16]
    assert sum(state.end_of_speech for _, state in after) == 1
    assert all(state.patch is None for _, state in after[11:])


async def test_a_crowd_shares_every_second_slot(hub, clock):
    clients = [Watched(hub, clock) for _ in range(136)]
    for client in clients:
        hub.ticker.add(client)
    await clock.until(clock.now + 2 * FRAME)
    before = hub.stats.network_ms.count
    await clock.until(clock.now + 10 * FRAME)
    assert hub.stats.network_ms.count - before == 4 * 10
    sizes = {}
    for client in clients:
        assert set(client.gaps()[2:]) == {8}
        slot = round(client.frames[-1][0] / SLOT)
        assert slot % 2 == 0
        sizes[slot] = sizes.get(slot, 0) + 1
    assert sum(sizes.values()) == 136
    # Once they are fewer, new ones have the slots in between, which are empty.
    for client in clients[16:]:
        hub.ticker.remove(client)
    new = [Watched(hub, clock) for _ in range(8)]
    for client in new:
        hub.ticker.add(client)
    await clock.until(clock.now + 10 * FRAME)
    assert {round(client.frames[-1][0] / SLOT) % 2 for client in new} == {1}
    assert len(hub.ticker) == 24


async def test_late_sound_in_a_crowd_gets_a_slot_that_is_shared(hub, clock, speech):
    for _ in range(130):
        hub.ticker.add(Watched(hub, clock))
    client = Watched(hub, clock)
    hub.ticker.add(client)
    times = await speak(client, clock, speech(1.2), 1001.003, late={20: 0.018})
    assert {round(time / SLOT) % 2 for time, _ in client.frames} == {0}
    came = [time for time, state in client.frames if state.audio is not None]
    assert 0 < came[18] - times[20] <= 2 * SLOT
    assert max(client.gaps(spoken=True)) <= 12
    assert min(client.gaps(spoken=True)) >= 4


async def test_a_stall_skips_turns_and_nobody_hurries_afterwards(hub, clock):
    clients = [Watched(hub, clock) for _ in range(3)]
    for client in clients:
        hub.ticker.add(client)
    await clock.until(clock.now + 1.0)
    before = [len(client.frames) for client in clients]
    clock.sleep(0.5)
    end = clock.now + 1.0
    await clock.until(end)
    assert 3 * 11 <= hub.stats.frames_late <= 3 * 12
    for client, count in zip(clients, before, strict=True):
        assert 25 <= len(client.frames) - count <= 26
        assert min(client.gaps()) >= 1
        assert set(client.gaps()[count + 1 :]) == {8}


async def test_who_leaves_gets_no_turn(hub, clock):
    staying, leaving = Watched(hub, clock), Watched(hub, clock)
    hub.ticker.add(staying)
    hub.ticker.add(leaving)
    await clock.until(clock.now + 0.2)
    count = len(leaving.frames)
    hub.ticker.remove(leaving)
    hub.ticker.remove(leaving)
    hub.ticker.make_up(leaving)
    hub.ticker.bring_forward(leaving)
    await clock.until(clock.now + 0.2)
    assert len(leaving.frames) == count == 5
    assert len(staying.frames) == 10
    assert len(hub.ticker) == 1
