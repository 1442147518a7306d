"""Photos of any size, format and orientation: searched in a small copy, cut from the original."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from utils.faces.alignment import face_chip
from utils.faces.detection import load_detector
from utils.faces.photo import Photo, _rescale
from utils.media.images import decode_image, jpeg_size
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie

SEARCH_SIZE = 480


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Two drawn people in 2400×1600 pixels, one of them small."""
    rng = np.random.default_rng(3)
    large, small = (draw_selfie(sample_identity(number), rng) for number in (101, 102))
    image = np.full((1600, 2400, 3), 120, np.uint8)
    image[:1500, :1500] = cv2.resize(large, (1500, 1500), interpolation=cv2.INTER_CUBIC)
    image[900:1300, 1900:2300] = cv2.resize(small, (400, 400), interpolation=cv2.INTER_AREA)
    return image


def encode(image: np.ndarray, file_format: str, orientation: int | None = None, mode: str = "RGB") -> bytes:
    """An image file's bytes; with an EXIF orientation, the stored pixels are turned so that it looks upright."""
    picture = Image.fromarray(image).convert(mode)
    options = {"quality": 95, "subsampling": 0} if file_format == "JPEG" else {}
    if orientation:
        turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
        picture = picture.transpose(turn)
        exif = picture.getexif()
        exif[0x0112] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file_format", "orientation", "mode", "shrunk"),
    [
        ("JPEG", None, "RGB", True),
        ("JPEG", 3, "RGB", True),
        ("JPEG", 6, "RGB", True),
        ("JPEG", 8, "RGB", True),
        ("JPEG", None, "L", True),
        ("JPEG", None, "CMYK", False),
        ("PNG", None, "RGB", False),
    ],
)
def test_faces_and_chips_match_the_full_photo(scene, file_format, orientation, mode, shrunk):
    data = encode(scene, file_format, orientation, mode)
    whole = decode_image(data)
    assert whole.shape == scene.shape
    detect = load_detector(min_size=1, search_size=SEARCH_SIZE)
    photo = Photo(data, SEARCH_SIZE)
    assert photo.size_wh == (2400, 1600)
    assert photo.small.shape == ((400, 600, 3) if shrunk else (1600, 2400, 3))
    faces, expected = photo.faces(detect), detect(whole)
    assert len(faces) == len(expected) == 2
    for face, reference in zip(faces, expected, strict=True):
        # The same face to within a pixel or two of the searched copy, which is up to ten of the photo.
        np.testing.assert_allclose(face.box, reference.box, atol=10)
        np.testing.assert_allclose(face.landmarks, reference.landmarks, atol=10)
        # Cut with the same transform, so that only the source of the pixels differs.
        differences = np.abs(photo.chip(reference).astype(int) - face_chip(whole, reference))
        assert differences.mean() < 4
        inverse = np.linalg.inv(np.vstack([face.transform, [0, 0, 1]]))
        middle = inverse @ [0.5, 0.5, 1]
        x, y, w, h = face.box
        assert x < middle[0] < x + w and y < middle[1] < y + h


def test_rescaling_keeps_pixel_centers():
    """Pixel i of a copy at a quarter of the size is the center of the original's pixels 4i to 4i + 3."""
    transform = np.array([[0.02, -0.003, 0.1], [0.003, 0.02, -0.2]])
    large = _rescale(transform, np.array([4.0, 2.0]))
    for x, y in ((0, 0), (7, 3), (100, 50)):
        center = [4 * x + 1.5, 2 * y + 0.5]
        np.testing.assert_allclose(large @ [*center, 1], transform @ [x, y, 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(_rescale(large, np.array([0.25, 0.5])), transform, rtol=0, atol=1e-12)


def test_landmarks_and_transform_are_scaled_alike(scene):
    photo = Photo(encode(scene, "JPEG"), SEARCH_SIZE)
    detect = load_detector(min_size=1, search_size=SEARCH_SIZE)
    for small, full in zip(detect(photo.small), photo.faces(detect), strict=True):
        positions = [np.column_stack([face.landmarks, np.ones(5)]) @ face.transform.T for face in (small, full)]
        np.testing.assert_allclose(positions[0], positions[1], rtol=0, atol=1e-5)


def test_a_small_face_is_cut_from_the_full_photo(scene):
    photo = Photo(encode(scene, "JPEG"), 1000)
    large, small = sorted(photo.faces(load_detector(search_size=SEARCH_SIZE)), key=lambda face: -face.box[2])
    photo.chip(large)
    assert "full" not in vars(photo)  # the copy has enough pixels, so the full photo was not decoded
    chip = photo.chip(small)
    assert "full" in vars(photo)
    coarse = face_chip(cv2.resize(photo.small, photo.size_wh, interpolation=cv2.INTER_LINEAR), small)
    assert cv2.Laplacian(chip, cv2.CV_64F).var() > 2 * cv2.Laplacian(coarse, cv2.CV_64F).var()


@pytest.mark.slow
def test_full_search_finds_large_and_small_faces(scene):
    """A face of over 1,000 px exceeds the detector's anchors, and one of 60 px is lost in a small copy."""
    tiny = cv2.resize(
        draw_selfie(sample_identity(103), np.random.default_rng(4)), (100, 100), interpolation=cv2.INTER_AREA
    )
    image = cv2.resize(scene, (4800, 3200), interpolation=cv2.INTER_CUBIC)
    image[200:300, 4200:4300] = tiny
    everything = load_detector(min_size=1, search_size=1 << 16)(image)
    bounded = load_detector(min_size=1, search_size=960)(image)
    assert len(bounded) == 2 and len(everything) == 3
    assert min(face.box[2] for face in everything) < 80 and max(face.box[2] for face in everything) > 1000


@pytest.mark.slow
def test_jpeg_size_reads_the_header(scene):
    assert jpeg_size(encode(scene, "JPEG", 6)) == (1600, 2400)  # as stored
    assert jpeg_size(encode(scene, "JPEG", mode="CMYK")) is None
    assert jpeg_size(encode(scene, "PNG")) is None and jpeg_size(b"") is None and jpeg_size(b"\xff\xd8\xff") is None
    with pytest.raises(ValueError, match="truncated"):
        jpeg_size(encode(scene, "JPEG")[:5000])
