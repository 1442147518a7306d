"""Measure train.py at size: seconds and memory of each kind of head, on a hundredth, a tenth and all of so many rows.

  python benchmarks/training.py --rows 1000000 --people 10000 --json
  python benchmarks/training.py --features features --heads plda

The people are drawn: with --features around those of a folder, each between two of its people, with the scatter that
their photos have; otherwise from a Gaussian. pack.py packs them, as for any gallery of this size. Memory is the
largest anonymous one (RssAnon, on Linux): pages of the packed gallery, which the system can drop at any time, do not
count.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import measure  # adds the project's root to sys.path
import numpy as np

from utils.cli import InputError, bounded, clean_exit, file_path, script_parser

DIMENSION = 128  # of people who are drawn from a Gaussian
SPREAD = 1.2  # of their photos, by that of the people
# Of measured photos' scatter. A Gaussian of that scatter has none of their outliers: with 1 all people are told apart,
# with this the equal error rate is 0.5 %, as SFace's on LFW.
MORE_SCATTER = 1.8
EXTRACTOR = "drawn-people"  # has no constants of other people, so that every head is calibrated
PARTS = (100, 10, 1)  # of the rows and the people
POLL = 0.02  # seconds between two looks at a process's memory


@dataclass(frozen=True)
class Result:
    """What one run of train.py took."""

    head: str
    rows: int
    people: int
    seconds: float
    cpu_seconds: float
    anonymous_mb: float  # peak
    threshold: float


@dataclass(frozen=True)
class Population:
    """What people are drawn from."""

    centers: np.ndarray  # of people, (p, D)
    scatter: np.ndarray  # (D, D), whose product with a normal vector is the deviation of a photo from its person


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--rows", type=bounded(int, 10_000), default=1_000_000, help="photos, 10,000 or more")
    parser.add_argument("--people", type=bounded(int, 1_000), default=10_000, help="1,000 or more")
    parser.add_argument("-f", "--features", type=file_path, help="folder with measured features to draw around")
    parser.add_argument(
        "--heads", nargs="+", default=["auto", "cosine", "plda", "dense"], help="values of train.py's --head"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("-o", "--output", type=file_path, help="JSON file to write")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    rng = np.random.default_rng(0)
    population = measured(args.features) if args.features else gaussian(args.people, rng)
    results = []
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            draw_people(Path(folder, "features"), population, args.rows // part, args.people // part, rng)
            subprocess.run(
                [sys.executable, "pack.py", "-f", f"{folder}/features"], cwd=measure.ROOT, check=True, stdout=sys.stderr
            )
            for head in args.heads:
                results.append(train(Path(folder), head, args.rows // part, args.people // part))
                print(results[-1], file=sys.stderr, flush=True)
    content = {"training": [asdict(result) for result in results]}
    if args.json:
        print(json.dumps(content, indent=1))
    else:
        measure.print_table(list(content["training"][0]), [list(row.values()) for row in content["training"]])
    measure.write_result(args.output, content)
    return 0


def gaussian(people: int, rng: np.random.Generator) -> Population:
    """People without any features to imitate."""
    return Population(rng.normal(size=(people, DIMENSION)), SPREAD * np.eye(DIMENSION))


def measured(folder: Path) -> Population:
    """The people of a features folder, and the scatter of their photos around them."""
    from utils.features.feature_files import iterate_people

    matrices = [person.matrix for person in iterate_people(folder)]
    several = [matrix - matrix.mean(axis=0) for matrix in matrices if len(matrix) > 1]
    if not several:
        raise InputError(f"{folder} has nobody with several photos")
    residuals = np.concatenate(several)
    covariance = residuals.T @ residuals / (len(residuals) - len(several))
    return Population(
        np.stack([matrix.mean(axis=0) for matrix in matrices]),
        MORE_SCATTER * np.linalg.cholesky(covariance + 1e-9 * np.trace(covariance) * np.eye(len(covariance))),
    )


def draw_people(folder: Path, population: Population, rows: int, people: int, rng: np.random.Generator) -> None:
    """Write features of so many people with `rows` photos in all, of length 1."""
    from utils.features.feature_files import ImageEntry, save_person

    mean, photos = population.centers.mean(axis=0), rows // people
    images = [ImageEntry(f"{number}.png", 0, 0) for number in range(photos)]
    for number in range(people):
        first, second = population.centers[rng.integers(0, len(population.centers), 2)] - mean
        center = mean + (first + second) / np.sqrt(2)
        matrix = center + rng.normal(size=(photos, len(mean))) @ population.scatter.T
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        save_person(folder, f"person {number:06}", matrix, images, EXTRACTOR, 1)


def train(folder: Path, head: str, rows: int, people: int) -> Result:
    """Run train.py, and look at its memory all the time."""
    output = folder / head
    words = [sys.executable, "train.py", "-f", folder / "features", "-o", output, "--head", head]
    start, peak, ended = time.perf_counter(), 0.0, 0
    with open(folder / "log.txt", "w+") as log:
        process = subprocess.Popen(words, cwd=measure.ROOT, stdout=log, stderr=subprocess.STDOUT)
        while not ended:
            peak = max(peak, anonymous_mb(process.pid))
            time.sleep(POLL)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if status:
            raise RuntimeError(f"train.py --head {head} ended with status {status}: {log.seek(0)}{log.read()[-500:]}")
    seconds, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    threshold = json.loads((output / "similarity.json").read_text())["threshold"]
    return Result(head, rows, people, round(seconds, 1), round(cpu, 1), round(peak), threshold)


def anonymous_mb(process: int) -> float:
    """The memory of a process that is not pages of files, now, in MB."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
