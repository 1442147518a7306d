"""How large a gallery may be: what packing, starting and naming a face cost, and how many decisions stay.

  python benchmarks/gallery.py --features features --classification models/similarity \\
      --rows 10000 100000 1000000 --people 200000 --json
  python benchmarks/gallery.py --features features --classification models/similarity --open_set

The people are made of measured ones, see benchmarks/made_people.py; --features needs 100 people with 4 photos or more.
Each gallery is written into person folders, packed, opened as test.py does, and deleted again. `kept` is the share of
the probes, half of them of enrolled people, half of strangers, that get the name that comparing them with every row
gives them, or none as there.

With --open_set, 1,000 measured people are enrolled among made ones, and evaluate.py's protocol measures the share of
their other photos that is found (DIR) at a false accept rate of 1 % among measured strangers.
"""

import argparse
import json
import pickle
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import measure  # adds the project's root to sys.path

from utils.cli import bounded, clean_exit, file_path, script_parser
from utils.threads import limit_blas

if TYPE_CHECKING:
    import numpy as np
    from made_people import Maker

    from utils.heads.head import Head
    from utils.recognition.gallery import Gallery

BLOCK = 50_000  # rows that are made at once
SMALL = 10  # people in the gallery that a start is compared with

# What test.py does with a features folder before its first picture, but for its networks.
OPEN = """
import sys
from pathlib import Path
from utils.threads import limit_blas
limit_blas()
from utils.features.kept import report_kept
from utils.features.stored_people import read_stored
from utils.heads.head import load_head
from utils.recognition.large_gallery import gallery_features, make_gallery
folder, head = Path(sys.argv[1]), load_head(sys.argv[2])
stored = read_stored(folder)
gallery = make_gallery(stored, gallery_features(stored), head, None, head.min_votes)
report_kept(folder, None, stored)
"""


@dataclass(frozen=True)
class Figures:
    """What one gallery costs."""

    rows: int
    people: int
    pack_s: float  # pack.py, all people new
    repack_s: float  # pack.py, one person changed
    index_s: float  # a start that makes the index, beyond one that does not
    disk_mb: float  # of the packed gallery with its index
    pack_mb: float  # peak memory of pack.py
    start_s: float  # beyond the start with a gallery of SMALL people
    start_mb: float  # peak memory of test.py's gallery, beyond the same
    p50_ms: float  # to name a face
    p95_ms: float
    kept: float  # share of the decisions that comparing every row makes
    recall: float  # share of the best 5 people, compared exactly, that are in play


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="features of measured people")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    parser.add_argument(
        "--rows", nargs="+", type=bounded(int, 100), default=[1_000_000], help="images in a gallery, one run for each"
    )
    parser.add_argument(
        "--people", type=bounded(int, 10), default=200_000, help="in the largest gallery; others have as many per image"
    )
    parser.add_argument("--probes", type=bounded(int, 2), default=500, help="faces that are named")
    parser.add_argument(
        "--strangers", type=bounded(int, 0), default=0, help="made strangers who are known (the cohort)"
    )
    parser.add_argument("--open_set", action="store_true", help="measure DIR at FAR 1 %% among made people instead")
    parser.add_argument("--folder", type=file_path, help="where the galleries are written (default: the temporary one)")
    parser.add_argument("--seed", type=bounded(int, 0), default=0, help="another number makes other people")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    limit_blas()
    import numpy as np
    from made_people import Maker

    from utils.features.stored_people import load_feature_set
    from utils.heads.head import load_head

    features, head = load_feature_set(args.features), load_head(args.classification)
    rng = np.random.default_rng(args.seed)
    if args.open_set:
        from open_set import measure_open_set

        figures = measure_open_set(features, head, args.people, rng, args.folder)
        print(json.dumps(figures, indent=1) if args.json else figures)
        return 0
    maker = Maker.measure(features.matrix, features.labels)
    results = []
    for rows in sorted(args.rows):
        people = max(10, round(args.people * rows / max(args.rows)))
        with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
            write_people(Path(scratch, "small"), maker, maker.people(SMALL, rng), 5 * SMALL, features.extractor, rng)
            means = maker.people(people, rng)
            write_people(Path(scratch, "large"), maker, means, rows, features.extractor, rng)
            known = means[rng.choice(people, args.probes // 2)]
            probes = maker.photos(np.concatenate([known, maker.people(args.probes - len(known), rng)]), rng)
            strangers = maker.photos(maker.people(args.strangers, rng), rng)
            made = measure_gallery(Path(scratch), args.classification, head, probes, strangers)
        results.append(asdict(made))
        if not args.json:
            print(", ".join(f"{key} {value:.5g}" for key, value in results[-1].items()), flush=True)
    if args.json:
        largest = results[-1]
        print(json.dumps({**largest, "sizes": results, "strangers": args.strangers, "probes": args.probes}, indent=1))
    return 0


def write_people(
    folder: Path, maker: "Maker", means: "np.ndarray", rows: int, extractor: str, rng: "np.random.Generator"
) -> None:
    """Write feature files of people with these means, (p, D), as save_person does, but without waiting for the disk."""
    import numpy as np
    from made_people import photo_counts

    from utils.files import sha256

    counts = photo_counts(rows, len(means), rng)
    for people in np.array_split(np.arange(len(means)), max(1, rows // BLOCK)):
        photos = maker.photos(np.repeat(means[people], counts[people], axis=0), rng)
        for person, matrix in zip(people, np.split(photos, np.cumsum(counts[people])[:-1]), strict=True):
            name = f"person {person:07}"
            data = pickle.dumps(matrix, protocol=2)
            manifest = {"extractor": extractor, "dimension": matrix.shape[1], "align": 0, "data_sha256": sha256(data)}
            manifest |= {"images": [[f"{row}.png", 1, 1] for row in range(len(matrix))], "faces": f"../faces/{name}"}
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{name}_features.cPickle").write_bytes(data)
            (folder / name / f"{name}_features.json").write_text(json.dumps(manifest))


def measure_gallery(
    scratch: Path, head_path: Path, head: "Head", probes: "np.ndarray", strangers: "np.ndarray"
) -> Figures:
    """Pack and open the people in scratch/large, and name probes (f, D), with features (s, D) of known strangers."""
    import numpy as np
    from exact_gallery import name_exactly

    from utils.features.stored_people import read_stored
    from utils.recognition.large_gallery import gallery_features, make_gallery

    large, small = scratch / "large", scratch / "small"
    packing = measure.run_process("pack.py", "-f", large)
    first = measure.run_process("-c", OPEN, large, head_path)
    start, beside = (measure.run_process("-c", OPEN, folder, head_path) for folder in (large, small))
    stored = read_stored(large)
    gallery = make_gallery(stored, gallery_features(stored), head, None, head.min_votes)
    gallery.add_strangers(strangers)
    gallery.identify(probes[:1])  # with strangers, makes an index
    disk = sum(path.stat().st_size for path in (large / "_gallery").iterdir())
    seconds, decisions, in_play = name_faces(gallery, probes)
    exact, best = name_exactly(gallery, stored.packed, probes)
    next(large.glob("person */*.cPickle")).touch()
    repacking = measure.run_process("pack.py", "-f", large)
    return Figures(
        rows=len(stored.packed.rows),
        people=len(stored.packed.names),
        pack_s=packing.wall,
        repack_s=repacking.wall,
        index_s=first.wall - start.wall,
        disk_mb=disk / 1e6,
        pack_mb=packing.peak,
        start_s=start.wall - beside.wall,
        start_mb=start.peak - beside.peak,
        p50_ms=1000 * float(np.median(seconds)),
        p95_ms=1000 * float(np.percentile(seconds, 95)),
        kept=float(np.mean([ours == theirs for ours, theirs in zip(decisions, exact, strict=True)])),
        recall=float(np.mean([len(ours & theirs) / len(theirs) for ours, theirs in zip(in_play, best, strict=True)])),
    )


def name_faces(gallery: "Gallery", probes: "np.ndarray") -> tuple[list[float], list[str | None], list[set[str]]]:
    """Name faces (f, D), one after another: the seconds, the names, and the people who were compared exactly."""
    seconds, decisions, in_play = [], [], []
    for probe in probes:
        began = time.perf_counter()
        (decision,) = gallery.identify(probe[None])
        seconds.append(time.perf_counter() - began)
        decisions.append(decision.name)
        in_play.append(set(gallery.names))
    return seconds, decisions, in_play


if __name__ == "__main__":
    sys.exit(main())
