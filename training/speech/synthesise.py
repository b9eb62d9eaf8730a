"""Makes the speech: every source until it has its hours, in resumable shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from training.speech import espeak, festival, fetch, hibari, kokoro, shards
from training.speech.config import Config
from training.speech.shards import Utterance


def synthesise(config: Config, only: str | None = None) -> None:
    """Fills the shards of all sources of the configuration, or of one."""
    sources: dict[str, Callable[[int], Iterator[Utterance]]] = {
        "espeak": espeak.utterances,
        "flite": festival.flite,
        "festival": festival.festival,
        "festvox-ru": lambda _: festival.festvox_ru(),
        "hibari": lambda seed: hibari.utterances(fetch.hibari(config.downloads), seed),
        "kokoro": lambda seed: kokoro.utterances(fetch.kokoro(config.downloads), seed),
    }
    for source, hours in config.hours.items():
        if only not in (None, source):
            continue
        done = shards.count(config.shards, source)
        if source == "festvox-ru" and done:
            continue  # a recording, read once
        shards.fill(
            config.shards,
            source,
            hours,
            sources[source](config.seed * 1000 + done),
            config.utterances_per_shard if source != "kokoro" else 25,
        )
