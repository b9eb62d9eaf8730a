"""flite and festival (Debian), and the recorded Russian corpus inside ``festvox-ru``."""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from training.speech import texts
from training.speech.shards import Segment, Utterance

FLITE_VOICES = ("slt", "rms", "awb", "kal16")
# Voice -> language, and the encoding its text is read in. Diphones are cut from recordings, so
# each of these is one more human mouth.
FESTIVAL_VOICES = {
    "kal_diphone": ("en", "utf-8"),
    "ked_diphone": ("en", "utf-8"),
    "cmu_us_slt_arctic_hts": ("en", "utf-8"),
    "lp_diphone": ("it", "latin-1"),
    "pc_diphone": ("it", "latin-1"),
    "czech_ph": ("cs", "iso-8859-2"),
    "czech_dita": ("cs", "iso-8859-2"),
    "czech_machac": ("cs", "iso-8859-2"),
    "czech_krb": ("cs", "iso-8859-2"),
    "hy_fi_mv_diphone": ("fi", "latin-1"),
    "suo_fi_lj_diphone": ("fi", "latin-1"),
    "upc_ca_ona_hts": ("ca", "latin-1"),
}
FESTVOX_RU = Path("/usr/share/festival/voices/russian/msu_ru_nsh_clunits")


def to_16k(audio: NDArray[np.float32], rate: int) -> NDArray[np.int16]:
    """Resamples to 16 kHz and sets the peak to 0.7."""
    if rate != 16_000:
        divisor = int(np.gcd(rate, 16_000))
        audio = resample_poly(audio, 16_000 // divisor, rate // divisor)
    peak = max(1e-3, float(np.abs(audio).max(initial=0)))
    return (audio * (0.7 * 32767 / peak)).astype(np.int16)


def flite(seed: int) -> Iterator[Utterance]:
    """Endless English sentences, voice after voice, with the phone ends flite prints."""
    generator = random.Random(seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        while True:
            for voice in FLITE_VOICES:
                text = texts.with_pauses(generator.choice(texts.sentences("en")), generator)
                stretch = f"duration_stretch={generator.uniform(0.8, 1.25):.2f}"
                command = ["flite", "-voice", voice, "--setf", stretch, "-psdur", "-t", text]
                printed = subprocess.run(
                    [*command, "-o", str(out)], capture_output=True, text=True, check=True
                ).stdout
                audio, rate = soundfile.read(out, dtype="float32")
                segments: list[Segment] = []
                start = 0.0
                for item in printed.split():
                    symbol, _, end = item.rpartition(":")
                    segments.append((symbol, start, float(end)))
                    start = float(end)
                if len(audio) > rate and segments:
                    yield Utterance(
                        to_16k(audio, rate), segments, f"flite:{voice}", "flite", "en", text
                    )


def festival(seed: int, batch: int = 15) -> Iterator[Utterance]:
    """Endless sentences from festival's diphone and HTS voices."""
    generator = random.Random(seed)  # noqa: S311
    while True:
        for voice, (language, encoding) in FESTIVAL_VOICES.items():
            with tempfile.TemporaryDirectory() as folder:
                script = [f"(voice_{voice})"]
                said = []
                for i in range(batch):
                    text = texts.with_pauses(generator.choice(texts.sentences(language)), generator)
                    text = text.encode(encoding, "ignore").decode(encoding).replace("\\", "")
                    said.append(text)
                    script += [
                        f"(Parameter.set 'Duration_Stretch {generator.uniform(0.8, 1.25):.2f})",
                        f'(set! u (utt.synth (Utterance Text "{text}")))',
                        f'(utt.save.wave u "{folder}/{i}.wav" \'riff)',
                        f'(utt.save.segs u "{folder}/{i}.seg")',
                    ]
                program = Path(folder) / "batch.scm"
                program.write_text("\n".join(script), encoding=encoding)
                # A sentence that a voice cannot say ends its batch; what came before it is good.
                done = subprocess.run(
                    ["festival", "-b", str(program)], check=False, capture_output=True
                )
                if not (Path(folder) / "0.seg").exists() and len(said) > 1:
                    print(f"{voice}: {done.stderr.decode('latin-1').strip()[:200]}", flush=True)
                for i, text in enumerate(said):
                    if not (Path(folder) / f"{i}.seg").exists():
                        break
                    audio, rate = soundfile.read(f"{folder}/{i}.wav", dtype="float32")
                    segments = _labels(Path(folder) / f"{i}.seg", symbol=2)
                    if segments:
                        yield Utterance(
                            to_16k(audio, rate),
                            segments,
                            f"festival:{voice}",
                            "festival",
                            language,
                            text,
                        )


def festvox_ru() -> Iterator[Utterance]:
    """620 sentences recorded by one man, with the phone labels that come with them."""
    for label in sorted((FESTVOX_RU / "lab").glob("*.lab")):
        audio, rate = soundfile.read(FESTVOX_RU / "wav" / f"{label.stem}.wav", dtype="float32")
        segments = _labels(label, symbol=2)
        if segments and abs(segments[-1][2] - len(audio) / rate) <= 1.0:
            yield Utterance(to_16k(audio, rate), segments, "festvox-ru:nsh", "festvox-ru", "ru")


def _labels(path: Path, symbol: int) -> list[Segment]:
    """Reads xwaves labels: lines of end time, a number, the phone."""
    segments: list[Segment] = []
    start = 0.0
    for line in path.read_text(encoding="latin-1").splitlines():
        fields = line.split()
        if len(fields) > symbol:
            end = float(fields[0])
            segments.append((fields[symbol], start, end))
            start = end
    return segments
