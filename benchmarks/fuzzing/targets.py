"""All targets."""

from fuzzing import mutations
from fuzzing.blocks import mutate_media
from fuzzing.feature_files import (
    head_seeds,
    manifest_seeds,
    normalization_seeds,
    pickle_seeds,
    read_head,
    read_manifest,
    read_normalization,
    read_pickle,
)
from fuzzing.media import image_seeds, load_media, read_image, read_video, video_seeds
from fuzzing.models import load_hdf5, load_keras, model_seeds, read_model, read_model_parts
from fuzzing.names import load_names, mutate_name, names_seeds, pairs_seeds, read_name, read_pairs_file
from fuzzing.onnx_networks import build_onnx, load_onnx, load_onnx_and_keras, mutate_onnx, onnx_seeds, read_onnx_file
from fuzzing.target import Target
from fuzzing.weights import mutate_weights, read_weights, weights_seeds
from utils.cli import InputError

TARGETS = {
    "pickle": Target(read_pickle, pickle_seeds, mutations.mutate_pickle, (ValueError,), 2.0, 64),
    "sidecar": Target(read_manifest, manifest_seeds, mutations.mutate_json),
    "normalization": Target(read_normalization, normalization_seeds, mutations.mutate_json),
    "head": Target(read_head, head_seeds, mutations.mutate_json),
    "weights": Target(read_weights, weights_seeds, mutate_weights, (ValueError,), 10.0, 256, rounds=2000),
    "pairs": Target(read_pairs_file, pairs_seeds, mutations.mutate_text),
    "names": Target(read_name, names_seeds, mutate_name, (InputError,), 10.0, 512, warm_up=load_names),
    "image": Target(read_image, image_seeds, mutate_media, (ValueError, MemoryError), 20.0, 2048, warm_up=load_media),
    "video_header": Target(
        read_video,
        video_seeds,
        mutate_media,
        (InputError, MemoryError),
        20.0,
        2048,
        rounds=1000,
        warm_up=load_media,
    ),
    "model": Target(read_model_parts, model_seeds, mutations.mutate_zip, megabytes=1024, warm_up=load_hdf5),
    "model_load": Target(
        read_model, model_seeds, mutations.mutate_zip, seconds=120.0, megabytes=4096, rounds=200, warm_up=load_keras
    ),
    "onnx": Target(read_onnx_file, onnx_seeds, mutate_onnx, (ValueError,), 20.0, 1024, warm_up=load_onnx),
    "onnx_load": Target(
        build_onnx, onnx_seeds, mutate_onnx, seconds=120.0, megabytes=6144, rounds=100, warm_up=load_onnx_and_keras
    ),
}
