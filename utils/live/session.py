"""One run of test.py: load the models, then recognize photos, a video or a camera."""

import itertools
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from utils.cli import InputError, counted, summarize
from utils.display.viewers import Screen
from utils.faces.detection import DETECTION_SIZE, Detector
from utils.faces.photo_search import load_photo_search
from utils.features.extractor import Extractor, load_extractor
from utils.features.feature_files import empty_features, has_people
from utils.features.kept import report_kept
from utils.features.normalization import load_normalization
from utils.features.stored_people import read_stored
from utils.heads.head import load_head
from utils.live.controls import AnyLiveControls, LiveControls
from utils.live.enrollment import Enrollment
from utils.live.loading import StartingRecognizer, load_behind
from utils.live.loops import run_camera, run_photos, run_video, show_photos, shrunk
from utils.live.outputs import Outputs, UnknownFaces
from utils.live.photo_controls import PhotoControls
from utils.live.strangers import LearnedStrangers, StoredStrangers, load_learned
from utils.live.summaries import Summary
from utils.media.albums import describe_unread
from utils.media.camera import Camera, LiveSource
from utils.media.sources import PhotoSource, Source
from utils.media.video import VideoSource
from utils.recognition.gallery import BEST_IMAGES, Gallery, check_same_extractor
from utils.recognition.large_gallery import gallery_features, make_gallery
from utils.recognition.photo_recognizer import PhotoRecognizer
from utils.recognition.recognizer import BackgroundRecognizer, Recognizer, load_frame_detector, start_score
from utils.threads import Loading

LIVE_WIDTH = 640  # pixels; wider frames of cameras and videos are searched in a copy of this width


@dataclass(frozen=True)
class Options:
    """How faces are found, shown and saved."""

    detector: str  # retinaface or dlib
    min_size: int  # pixels; narrower and lower faces are ignored
    align: bool  # whether chips are aligned by landmarks
    detect_width: int | None  # pixels that are searched, None for the default
    precision: str  # of the search in frames
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
    faces_path: Path | None = None,
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
      faces_path: folder of the enrolled people's faces; None for the one that the features name.
    """
    if features_path.is_dir() and not has_people(features_path) and not can_enroll:
        raise InputError(
            f"{features_path} has no features of people: run extract_features.py first, or enroll people in the window "
            "(--faces_path faces, without --headless)"
        )
    stored = None if can_enroll and not has_people(features_path) else read_stored(features_path)
    features = stored and gallery_features(stored)
    normalization = None
    if normalize and features:
        normalization = load_normalization(features_path, features.matrix.shape[1], features.extractor)
    head = load_head(head_path, normalization)
    extractor = load_extractor(model_path, precision, engine=engine)
    features = features or empty_features(extractor.dimension, extractor.fingerprint)
    check_same_extractor(features, head, extractor)
    gallery = make_gallery(stored, features, head, threshold, head.min_votes if min_votes is None else min_votes)
    learned = load_learned(features_path, extractor.fingerprint, extractor.dimension)
    gallery.add_strangers(learned.matrix)
    print(describe_gallery(gallery))
    report_kept(features_path, faces_path, stored)
    return gallery, extractor, learned


def describe_gallery(gallery: Gallery) -> str:
    """Whom the gallery knows, and its rule, in words."""
    rule = f"the best {BEST_IMAGES}" if gallery.min_votes is None else f"more than {gallery.min_votes:.0%}"
    return (
        f"{counted(len(gallery.enrolled), 'person', 'people')}, {counted(gallery.images, 'image')}; "
        f"accepted above {gallery.threshold:.5g} by {rule} of a person's images; {describe_strangers(gallery)}"
    )


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
    """Loads the models and recognizes the people in a source. A window opens first, and is alive meanwhile."""

    load_models: Callable[[], tuple[Gallery, Extractor, StoredStrangers]]  # see load_models above
    outputs: Outputs
    summary: Summary
    options: Options
    cleanup: ExitStack  # closes what the run opens

    def recognize(self, source: Source) -> None:
        """Recognize the people in a source."""
        if isinstance(source, PhotoSource):
            self._recognize_photos(source)
            return
        screen = None if self.options.headless else Screen(LiveControls(), self.cleanup, self.options.mirrored)
        if isinstance(source, LiveSource):
            self._recognize_camera(source, screen)
        else:
            self._recognize_video(source, screen)

    def _recognize_photos(self, source: PhotoSource) -> None:
        """Recognize photos, each by itself."""
        if source.unread:
            print(f"not read: {describe_unread(source.unread)}")
            print(summarize([str(item) for item in source.unread]))
        if self.options.headless:
            recognizer = self._load_photo_recognizer()
            self._begin(recognizer, None)
            run_photos(source, recognizer, self.outputs, self.summary)
            return
        screen = Screen(PhotoControls(), self.cleanup)
        photo = source.photo(0)
        if photo is None:  # none can be read, which is told already
            self.summary.start()
            return
        recognizer = load_behind(self._load_photo_recognizer, screen, shrunk(photo)[0])
        if recognizer:
            self._begin(recognizer, screen)
            show_photos(source, recognizer, self.outputs, self.summary, screen)

    def _recognize_video(self, source: VideoSource, screen: Screen[LiveControls] | None) -> None:
        """Recognize every frame of a video, tracking faces from one to the next."""
        frames = source.frames()
        load = partial(self._load_recognizer, threads=1)
        if screen:
            first = next(frames)
            frames = itertools.chain([first], frames)
            recognizer = load_behind(load, screen, first)
        else:
            recognizer = load()
        if recognizer:
            self._begin(recognizer, screen)
            run_video(source, recognizer, self.outputs, self.summary, screen, frames)

    def _recognize_camera(self, source: LiveSource, screen: Screen[LiveControls] | None) -> None:
        """Recognize the newest frame of a camera again and again. A video that plays like one waits for the models."""
        if screen and isinstance(source, Camera):
            starting = StartingRecognizer(
                self._load_detector, self._load_rest, source, partial(self._begin, screen=screen)
            )
            with closing(starting):
                starting.start_behind(screen)
                run_camera(source, starting, self.outputs, self.summary, screen)
            return
        recognizer = load_behind(self._load_recognizer, screen, source.blank()) if screen else self._load_recognizer()
        if recognizer:
            self._begin(recognizer, screen)
            with closing(BackgroundRecognizer(recognizer, source)) as background:
                run_camera(source, background, self.outputs, self.summary, screen)

    def _load_photo_recognizer(self) -> PhotoRecognizer:
        options = self.options
        width = options.detect_width or DETECTION_SIZE
        load_search = partial(load_photo_search, options.detector, options.align, width, min_size=options.min_size)
        search = Loading(load_search)
        gallery, extractor, _ = self.load_models()
        return PhotoRecognizer(search.result(), extractor, gallery)

    def _load_recognizer(self, threads: int = 0) -> Recognizer:
        return self._load_rest(self._load_detector(threads))

    def _load_detector(self, threads: int = 0) -> Detector:
        """The detector for frames. threads: see load_frame_detector."""
        options = self.options
        width = options.detect_width or LIVE_WIDTH
        return load_frame_detector(options.detector, options.min_size, options.align, width, threads, options.precision)

    def _load_rest(self, detect: Detector) -> Recognizer:
        options = self.options
        gallery, extractor, stored = self.load_models()
        recognizer = Recognizer(detect, extractor, gallery, start_score(options.detector))
        if options.unknown_dir:
            unknown = UnknownFaces(options.unknown_dir, self.outputs.run["started"])
            recognizer.listeners.append(unknown)
            self.cleanup.callback(unknown.save)
        if options.learn_strangers:
            learned = LearnedStrangers(options.features_path, gallery, extractor.fingerprint, stored)
            recognizer.listeners.append(learned)
            self.cleanup.callback(learned.save)
        recognizer.warm_up()
        return recognizer

    def _begin(self, recognizer: Recognizer, screen: Screen[AnyLiveControls] | None) -> None:
        """Do what the first frame needs, once the models are loaded."""
        options = self.options
        self.outputs.run["extractor"] = recognizer.extractor.fingerprint
        if screen:
            screen.controls.loading = False
        if screen and options.faces_path:
            is_photo = isinstance(recognizer, PhotoRecognizer)
            # In a photo there is one view of a face, and the user has seen it.
            enroll = partial(Enrollment, max_faces=1, judge=lambda *_: None) if is_photo else Enrollment
            screen.controls.enrollment = enroll(
                recognizer, options.faces_path, options.features_path, renamed=self.summary.rename
            )
        self.summary.start()
