"""One run of test.py: load the models, then recognize photos, a video or a camera."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from utils.cli import InputError, counted, summarize
from utils.display.viewers import PhotoWindow
from utils.faces.detection import DETECTION_SIZE
from utils.faces.photo_search import load_photo_search
from utils.features.extractor import Extractor, load_extractor
from utils.features.feature_files import empty_features, has_people, load_features
from utils.features.normalization import load_normalization
from utils.heads.head import load_head
from utils.live.loops import open_screen, run_camera, run_photos, run_video
from utils.live.outputs import Outputs, Summary, UnknownFaces
from utils.live.strangers import LearnedStrangers, StoredStrangers, load_learned
from utils.media.albums import describe_unread
from utils.media.camera import LiveSource
from utils.media.sources import PhotoSource, Source
from utils.media.video import VideoSource
from utils.recognition.gallery import BEST_IMAGES, Gallery, check_same_extractor
from utils.recognition.recognizer import BackgroundRecognizer, load_recognizer, recognize_photo

LIVE_WIDTH = 640  # pixels; wider frames of cameras and videos are searched in a copy of this width


@dataclass(frozen=True)
class Options:
    """How faces are found, shown and saved."""

    detector: str  # retinaface or dlib
    min_size: int  # pixels; narrower and lower faces are ignored
    align: bool  # whether chips are aligned by landmarks
    detect_width: int | None  # pixels that are searched, None for the default
    headless: bool
    mirrored: bool
    faces_path: Path | None  # folders for people enrolled in the window: faces,
    features_path: Path  # and features
    unknown_dir: Path | None  # folder for faces that are never named
    learn_strangers: bool  # whether the features of strangers who come by are kept, for the cohort


def load_models(
    features_path: Path,
    model_path: Path,
    head_path: Path,
    normalize: bool = False,
    threshold: float | None = None,
    min_votes: float | None = None,
    can_enroll: bool = False,
    engine: str = "auto",
    precision: str = "float32",
) -> tuple[Gallery, Extractor, StoredStrangers]:
    """Load features, extractor, head and learned strangers, check that they fit, and print what they are.

    Raises InputError.

    Args:
      features_path: folder that extract_features.py wrote.
      model_path: extractor that made the features.
      head_path: head that train.py saved.
      normalize: whether to normalize for a head of the original recipe.
      threshold: probability above which a face is accepted; None for the head's own.
      min_votes: share of a person's images, more than which must accept; None for the head's own.
      can_enroll: whether people can be enrolled later, so that features_path may have none yet.
      engine, precision: what the extractor runs on; see `load_extractor`.
    """
    if features_path.is_dir() and not has_people(features_path) and not can_enroll:
        raise InputError(
            f"{features_path} has no features of people: run extract_features.py first, or enroll people in the window "
            "of a camera or video (--faces_path faces, without --headless)"
        )
    features = None if can_enroll and not has_people(features_path) else load_features(features_path)
    normalization = None
    if normalize and features:
        normalization = load_normalization(features_path, features.matrix.shape[1], features.extractor)
    head = load_head(head_path, normalization)
    extractor = load_extractor(model_path, precision, engine=engine)
    features = features or empty_features(extractor.dimension, extractor.fingerprint)
    check_same_extractor(features, head, extractor)
    min_votes = head.min_votes if min_votes is None else min_votes
    gallery = Gallery(features, head, threshold, min_votes)
    learned = load_learned(features_path, extractor.fingerprint, extractor.dimension)
    gallery.add_strangers(learned.matrix)
    rule = f"the best {BEST_IMAGES}" if min_votes is None else f"more than {min_votes:.0%}"
    print(
        f"{counted(len(features.names), 'person', 'people')}, {counted(len(features.matrix), 'image')}; "
        f"accepted above {gallery.threshold:.3f} by {rule} of a person's images; {describe_strangers(gallery)}"
    )
    return gallery, extractor, learned


def describe_strangers(gallery: Gallery) -> str:
    """How well the cohort supports the promise of the threshold, in words."""
    count = len(gallery.strangers)
    if count and not gallery.head.knows_impostors:
        return f"{counted(count, 'stranger')} known, who do not help with this head: train it again with train.py"
    if not count:
        return "no strangers known, so the false accept rate holds for people like those it was measured on"
    return f"{counted(count, 'stranger')} known"


@dataclass(frozen=True)
class Session:
    """The people to recognize, and where the results go."""

    gallery: Gallery
    extractor: Extractor  # that made the gallery's features
    learned: StoredStrangers  # that the gallery has already
    outputs: Outputs
    summary: Summary
    options: Options
    cleanup: ExitStack  # closes what the run opens

    def recognize(self, source: Source) -> None:
        """Recognize the people in a source."""
        if isinstance(source, PhotoSource):
            self._recognize_photos(source)
        else:
            self._recognize_frames(source)

    def _recognize_photos(self, source: PhotoSource) -> None:
        """Recognize photos, each by itself."""
        options = self.options
        if source.unread:
            print(f"not read: {describe_unread(source.unread)}")
            print(summarize([str(item) for item in source.unread]))
        width = options.detect_width or DETECTION_SIZE
        detect = load_photo_search(options.detector, options.align, width, min_size=options.min_size)
        window = None if options.headless else PhotoWindow(self.cleanup)
        self.summary.start()
        recognize = partial(recognize_photo, detect=detect, extractor=self.extractor, gallery=self.gallery)
        run_photos(source, recognize, self.outputs, self.summary, window)

    def _recognize_frames(self, source: VideoSource | LiveSource) -> None:
        """Recognize the frames of a video or a camera, tracking faces from one to the next."""
        options = self.options
        # After each comparison with a large gallery, NumPy's second thread spins for a while on the core that the
        # networks need: with 1,000 people a frame took twice as long.
        self.cleanup.enter_context(threadpool_limits(1, "blas"))
        width, threads = options.detect_width or LIVE_WIDTH, 0 if source.live else 1
        recognizer = load_recognizer(
            self.gallery, self.extractor, options.detector, options.min_size, options.align, width, threads
        )
        if options.unknown_dir:
            unknown = UnknownFaces(options.unknown_dir)
            recognizer.listeners.append(unknown)
            self.cleanup.callback(unknown.save)
        if options.learn_strangers:
            fingerprint = self.extractor.fingerprint
            learned = LearnedStrangers(options.features_path, self.gallery, fingerprint, self.learned)
            recognizer.listeners.append(learned)
            self.cleanup.callback(learned.save)
        recognizer.warm_up()
        screen = None
        if not options.headless:
            screen = open_screen(recognizer, options.faces_path, options.features_path, options.mirrored, self.cleanup)
        self.summary.start()
        if isinstance(source, LiveSource):
            background = BackgroundRecognizer(recognizer, source)
            self.cleanup.callback(background.close)
            run_camera(source, background, self.outputs, self.summary, screen)
        else:
            run_video(source, recognizer, self.outputs, self.summary, screen)
