"""Prints what TensorBoard reads from a folder of event files, as JSON.

Every series is a list of [step, value]. A histogram's value is its rows of left edge, right edge and
count; an image's is its format, size, and the RGB bytes' sha256 and the milliseconds of each frame.
"""

import hashlib
import io
import json
import sys

from google.protobuf.json_format import MessageToDict
from PIL import Image, ImageSequence
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util


def picture(tensor):
    width, height, *files = tensor
    (file,) = files
    image = Image.open(io.BytesIO(file))
    frames = []
    for frame in ImageSequence.Iterator(image):
        rgb = frame.convert("RGB").tobytes()
        frames.append([hashlib.sha256(rgb).hexdigest(), frame.info.get("duration")])
    return {
        "format": image.format,
        "size": list(image.size),
        "said_size": [int(width), int(height)],
        "frames": frames,
    }


def text(tensor):
    return tensor.item().decode()


def layout(tensor):
    return MessageToDict(layout_pb2.Layout.FromString(tensor.item()))


READERS = {
    "scalars": float,
    "histograms": lambda tensor: tensor.tolist(),
    "images": picture,
    "text": text,
    "custom_scalars": layout,
}


def series(events, read):
    return [[event.step, read(tensor_util.make_ndarray(event.tensor_proto))] for event in events]


def main(folder):
    everything = {"tensors": 0}
    log = EventAccumulator(folder, size_guidance=everything)
    log.Reload()
    found = {plugin: {} for plugin in (*READERS, "hparams")}
    for tag in log.Tags()["tensors"]:
        metadata = log.SummaryMetadata(tag).plugin_data
        if metadata.plugin_name == "hparams":
            data = plugin_data_pb2.HParamsPluginData.FromString(metadata.content)
            found["hparams"][tag] = MessageToDict(data)
        else:
            read = READERS[metadata.plugin_name]
            found[metadata.plugin_name][tag] = series(log.Tensors(tag), read)
    json.dump(found, sys.stdout, indent=1)
    print()


main(sys.argv[1])
