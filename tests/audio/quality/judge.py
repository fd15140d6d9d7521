#!/usr/bin/env python3
"""Judges speech by PESQ (ITU-T P.862, P.862.2).

Reads lines "RATE MODE REFERENCE HEARD" (8000 or 16000, nb or wb, two WAV files of that rate) and writes one score a line.
"""

import sys
import wave
from multiprocessing import Pool

import numpy
from pesq import pesq


def samples(path):
    with wave.open(path) as file:
        return numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def judge(line):
    rate, mode, reference, heard = line.split()
    return pesq(int(rate), samples(reference), samples(heard), mode)


if __name__ == "__main__":
    lines = sys.stdin.read().splitlines()
    with Pool() as pool:
        for score in pool.map(judge, lines, chunksize=1):
            print(f"{score:.3f}")
